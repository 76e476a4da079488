import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import {
  createGroupViews,
  createMlsEngine,
  type GroupView,
  type GroupViews,
  type MlsEngine,
  type MlsGroup,
  type MlsOptions,
  type OwnIdentity,
} from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import { type ConversationId, idFromBytes, type MessageId, ok, reject } from '@norc/protocol/base';
import { verifyDeviceCertificate } from '@norc/protocol/crypto';
import { BenchOrganisation, benchDevice, must, ownIdentity } from './support/organisation.ts';
import type { Question, RunOptions } from './support/question.ts';
import type { Line } from './support/report.ts';
import { type Cost, costOf, Meter } from './support/sampling.ts';

/*
 * What does end-to-end encryption cost a device, and a server that follows a group?
 * Messages of 1 KB; commits with new keys in groups of 2, 10 and 100. Certificates
 * are real and are verified.
 */

const SIZES = [2, 10, 100] as const;
const QUICK_SIZES = [2, 4] as const;
const BATCH = 16;
const ROUNDS = 5;
const TEXT = 'x'.repeat(800);

export const mls: Question = {
  name: 'mls',
  about: 'MLS messages sealed and opened per second; commits for 2, 10, 100 members',
  async *run({ seconds, quick }: RunOptions): AsyncIterable<Line> {
    yield* messages(seconds);
    for (const size of quick ? QUICK_SIZES : SIZES) yield* commits(size, seconds);
  },
};

/** An organisation whose devices' certificates are checked as devices and servers check them. */
class MlsWorld {
  readonly organisation = new BenchOrganisation('alpha.example');
  readonly engine: MlsEngine;
  readonly views: GroupViews;
  #devices = 0;

  constructor() {
    const { domain: org, root } = this.organisation;
    const options: MlsOptions = {
      provider: createNodeMlsProvider(nodeCrypto),
      clock: nodeClock,
      async verifyCredential([certificate, issuer], key, now) {
        if (certificate === undefined || issuer === undefined) return reject('credential_invalid', 'chain');
        const pinned = { org, rootKey: root.publicKey };
        const verified = verifyDeviceCertificate(nodeCrypto, { certificate, issuer }, { pinned, now });
        if (!verified.ok) return verified;
        const { deviceId, user, publicKey } = verified.value;
        return nodeCrypto.equal(publicKey, key) ? ok({ deviceId, user, org }) : reject('credential_invalid', 'key');
      },
    };
    this.engine = createMlsEngine(options);
    this.views = createGroupViews(options);
  }

  identity(): OwnIdentity {
    this.#devices += 1;
    const device = benchDevice(this.organisation.domain, this.#devices);
    return ownIdentity(device, this.organisation.certify(device));
  }

  /** A group with two of its members, and the view that a server has of it. */
  async group(
    size: number,
  ): Promise<{ readonly author: MlsGroup; readonly reader: MlsGroup; readonly view: GroupView }> {
    const { engine, organisation } = this;
    const newcomers = await Promise.all(Array.from({ length: size - 1 }, () => this.#newcomer()));
    const conversation = idFromBytes<ConversationId>(nodeRandom.bytes(16));
    const identity = this.identity();
    const { group: author } = await engine.createGroup({
      conversation,
      hub: organisation.domain,
      level: 'basic',
      identity,
    });
    const pending = must(await author.prepareCommit({ add: newcomers.map(({ own }) => own.keyPackage) }));
    await author.confirm(pending);
    const [first] = newcomers;
    if (first === undefined || pending.welcome === undefined) throw new Error('a group has two members');
    const reader = must(
      await engine.join({ welcome: pending.welcome, secret: first.own.secret, identity: first.identity }),
    );
    return { author, reader, view: must(await this.views.fromGroupInfo(pending.groupInfo)) };
  }

  async #newcomer() {
    const identity = this.identity();
    return { identity, own: await this.engine.createKeyPackage({ identity, lastResort: false }) };
  }
}

/** A group each: a reader gives up a sender that is thousands of messages ahead. */
async function* messages(seconds: number): AsyncIterable<Line> {
  const { author: alone } = await new MlsWorld().group(2);
  const sealing = { seconds, prepare: () => undefined, run: async () => (await sealed(alone)).length };
  yield line('MLS message seal, 1 KB', await costOf(sealing));
  const { author, reader } = await new MlsWorld().group(2);
  const opening = {
    seconds,
    prepare: () => sealed(author),
    run: async (batch: readonly Uint8Array[]) => {
      for (const message of batch) must(await reader.receive(message));
      return batch.length;
    },
  };
  yield line('MLS message open, 1 KB', await costOf(opening));
}

async function sealed(author: MlsGroup): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for (let i = 0; i < BATCH; i += 1) {
    const messageId = idFromBytes<MessageId>(nodeRandom.bytes(16));
    const content = { kind: 'text', message_id: messageId, sent_at: nodeClock.now(), body: { text: TEXT } } as const;
    all.push(
      must(await author.encrypt(content, { label: 'unclassified', conversation: author.conversation, messageId })),
    );
  }
  return all;
}

async function* commits(size: number, seconds: number): AsyncIterable<Line> {
  const { author, reader, view } = await new MlsWorld().group(size);
  const meters = { create: new Meter(), process: new Meter(), follow: new Meter() };
  let followed = view;
  for (let round = 0; round <= ROUNDS; round += 1) {
    const end = performance.now() + (seconds * 1000) / ROUNDS;
    do {
      let commit = new Uint8Array(0);
      await meters.create.measure(async () => {
        const messageId = idFromBytes<MessageId>(nodeRandom.bytes(16));
        const authenticatedData = { label: 'unclassified', conversation: author.conversation, messageId } as const;
        const pending = must(await author.prepareCommit({ update: true, authenticatedData }));
        await author.confirm(pending);
        commit = pending.commit.slice();
        return 1;
      });
      await meters.process.measure(async () => {
        must(await reader.receive(commit));
        return 1;
      });
      await meters.follow.measure(async () => {
        followed = must(await followed.apply(commit)).view;
        return 1;
      });
    } while (performance.now() < end);
    for (const meter of Object.values(meters)) {
      if (round === 0) meter.forget();
      else meter.endRound();
    }
  }
  yield line(`MLS commit create, ${size} members`, meters.create.cost());
  yield line(`MLS commit process, ${size} members`, meters.process.cost());
  yield line(`MLS commit verify by a server, ${size} members`, meters.follow.cost());
}

function line(question: string, { wallMicros, cpuMicros }: Cost): Line {
  return { question, perSecond: 1e6 / wallMicros, cpuMicros };
}
