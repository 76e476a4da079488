import { en, type NorcClient, plainContext, problemOfError, type SessionFacts } from '@norc/client';
import { openNodeClient, type Unlock } from '@norc/client/platform/node';
import { SUITES } from '@norc/protocol/base';
import { CommandError, EXIT } from '../command.ts';

const CONNECT_MS_MAX = 15_000;

/** Opens a profile. Throws StoreError; CommandError for a profile whose enrolment was not finished. */
export async function openDevice(profileFolder: string, unlock: Unlock): Promise<NorcClient> {
  return await openNodeClient({ profileFolder, unlock }).catch((error: unknown) => {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(
      EXIT.badData,
      'This profile is not enrolled yet.',
      'norc enroll CODE, with the same profile',
      { cause: error },
    );
  });
}

/** Connects and waits until the server knows this device. Throws CommandError when the first attempt fails. */
export async function connectDevice(client: NorcClient): Promise<SessionFacts> {
  const { promise: failed, resolve } = Promise.withResolvers<undefined>();
  const stop = client.on('state', ({ state }) => (state === 'waiting' ? resolve(undefined) : undefined));
  client.connect();
  const ready = await inTime(Promise.race([client.ready(), failed]), CONNECT_MS_MAX).finally(stop);
  const { status } = client;
  if (ready?.ok === true && status.state === 'ready') return status.facts;
  if (ready?.ok === false) throw new CommandError(EXIT.failure, problemText(client, ready.error.code));
  const code = status.state === 'waiting' ? status.code : undefined;
  const words = code === undefined ? 'Your server is not answering.' : problemText(client, code);
  throw new CommandError(EXIT.unavailable, words, 'Is it running? On its machine: norc server, norc doctor');
}

function problemText({ self }: NorcClient, code: Parameters<typeof problemOfError>[0]): string {
  return `${en.problem(problemOfError(code), plainContext(self.user, String))} [${code}]`;
}

/** The outcome, or undefined when it takes too long. Keeps the process alive meanwhile: the client's own timers do not. */
export async function inTime<T>(work: Promise<T>, millisecondsMax: number): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), millisecondsMax);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** `0x0101 (X25519 + ML-KEM-768, ChaCha20-Poly1305, BLAKE3)` */
export function suiteWords(name: SessionFacts['suite']): string {
  const { id, kem, aead, hash } = SUITES[name];
  const number = `0x${id.toString(16).padStart(4, '0')}`;
  return `${number} (${WORDS[kem] ?? kem}, ${WORDS[aead] ?? aead}, ${WORDS[hash] ?? hash})`;
}

const WORDS: Readonly<Record<string, string>> = {
  'x25519+ml-kem-768': 'X25519 + ML-KEM-768',
  'chacha20-poly1305': 'ChaCha20-Poly1305',
  'aes-256-gcm': 'AES-256-GCM',
  blake3: 'BLAKE3',
  sha256: 'SHA-256',
};
