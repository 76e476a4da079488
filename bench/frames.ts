import { randomBytes } from 'node:crypto';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { idFromBytes, MESSAGE_TYPES, type MessageId } from '@norc/protocol/base';
import type { ChannelKeys } from '@norc/protocol/crypto';
import { HYBRID_SUITES, type HybridSuite, SecureChannel, suitesOf, suiteText } from '@norc/protocol/handshake';
import type { Question, RunOptions } from './support/question.ts';
import type { Line } from './support/report.ts';
import { costOf } from './support/sampling.ts';

/* What does the secure channel cost per frame? Pads, seals and hash-chains a body of 1 KB, and opens it. */

const BODY_BYTES = 1024;
const BATCH = 256;

export const frames: Question = {
  name: 'frames',
  about: 'frames sealed and opened per second, 1 KB bodies',
  async *run(options: RunOptions): AsyncIterable<Line> {
    for (const suite of suitesOf(HYBRID_SUITES)) {
      yield await sealing(suite, options.seconds);
      yield await opening(suite, options.seconds);
    }
  },
};

async function sealing(suite: HybridSuite, seconds: number): Promise<Line> {
  const [channel] = channelPair(suite);
  const body = randomBytes(BODY_BYTES);
  const id = messageId();
  const cost = await costOf({
    seconds,
    prepare: () => undefined,
    run: () => {
      for (let i = 0; i < BATCH; i += 1) channel.seal(MESSAGE_TYPES.message_send, id, body);
      return BATCH;
    },
  });
  return line(`frame seal, ${suiteText(suite)}`, cost);
}

async function opening(suite: HybridSuite, seconds: number): Promise<Line> {
  const [sealer, opener] = channelPair(suite);
  const body = randomBytes(BODY_BYTES);
  const id = messageId();
  const now = nodeClock.now();
  const cost = await costOf({
    seconds,
    prepare: () => Array.from({ length: BATCH }, () => sealer.seal(MESSAGE_TYPES.message_send, id, body)),
    run: (sealed) => {
      for (const frame of sealed) if (!opener.open(frame, now).ok) throw new Error('a frame did not open');
      return BATCH;
    },
  });
  return line(`frame open, ${suiteText(suite)}`, cost);
}

function line(
  question: string,
  { wallMicros, cpuMicros }: { readonly wallMicros: number; readonly cpuMicros: number },
): Line {
  return { question: `${question}, 1 KB`, perSecond: 1e6 / wallMicros, cpuMicros };
}

function messageId(): MessageId {
  return idFromBytes(nodeRandom.bytes(16));
}

/** Two ends of one channel, without the handshake before it. */
function channelPair(suite: HybridSuite): readonly [SecureChannel, SecureChannel] {
  const traffic = () => ({ key: nodeRandom.bytes(32), iv: nodeRandom.bytes(12) });
  const keys = { c2s: traffic(), s2c: traffic() };
  const transcriptHash = nodeRandom.bytes(32);
  const end = (side: 'initiator' | 'responder') =>
    new SecureChannel({
      ...{ crypto: nodeCrypto, random: nodeRandom, version: { major: 2, minor: 0 }, suite, side, transcriptHash },
      ...{ keys: copyOf(keys), keyClass: 'control', now: nodeClock.now() },
    });
  return [end('initiator'), end('responder')];
}

/** Each end owns, and zeroes, its own. */
function copyOf({ c2s, s2c }: ChannelKeys): ChannelKeys {
  const copy = ({ key, iv }: ChannelKeys['c2s']) => ({ key: key.slice(), iv: iv.slice() });
  return { c2s: copy(c2s), s2c: copy(s2c) };
}
