import { ed25519 } from '@noble/curves/ed25519.js';
import { concatBytes, toHex, utf8 } from '@norc/protocol/base';
import type { VectorFile } from '../files.ts';
import { bytesOf, masterSecret, named, organisation, SUITES, sign, streamKeys } from './reference.ts';

const sharedSecret = named('shared secret', 64);
const clientNonce = named('client nonce', 16);
const serverNonce = named('server nonce', 16);
const transcriptHash = named('transcript hash');
const challenge = named('challenge');
const timestamp = 1_790_000_000_123;
const seed = organisation('alpha.example').serverSeed;

const timestampBytes = bytesOf(timestamp.toString(16).padStart(16, '0'));

const proof = (name: string, label: string, ...rest: readonly Uint8Array[]) => {
  const input = concatBytes(utf8(label), transcriptHash, ...rest);
  return { name, label, input: toHex(input), signature: toHex(sign(seed, input)) };
};

export const keyVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'key-schedule',
    about:
      'From the secret of the key exchange (X25519 || ML-KEM-768) to the keys of each stream. Sessions have the stream `control` only.',
    cases: SUITES.map((suite) => {
      const secret = masterSecret(suite, sharedSecret, [clientNonce, serverNonce], transcriptHash);
      return {
        name: `suite ${suite}`,
        suite,
        client_nonce: toHex(clientNonce),
        server_nonce: toHex(serverNonce),
        shared_secret: toHex(sharedSecret),
        transcript_hash: toHex(transcriptHash),
        master_secret: toHex(secret),
        control: streamKeys(suite, secret, 'control'),
        interactive: streamKeys(suite, secret, 'interactive'),
        bulk: streamKeys(suite, secret, 'bulk'),
      };
    }),
  },
  {
    outcome: 'valid',
    kind: 'proofs',
    about:
      'What handshake signatures are over (`input`), and the Ed25519 signature of it by `public_key`. `challenge` and `timestamp` count for the two proofs of a device.',
    cases: [
      proof('a server to a device', 'norc-c-server-v1'),
      proof('a registered device', 'norc-c-device-v1', challenge, timestampBytes),
      proof('a device that registers', 'norc-c-register-v1', challenge, timestampBytes),
      proof('the server that answers a link', 'norc-f-server-v1'),
      proof('the server that dialed a link', 'norc-f-client-v1'),
    ].map((one) => ({
      ...one,
      transcript_hash: toHex(transcriptHash),
      challenge: toHex(challenge),
      timestamp,
      public_key: toHex(ed25519.getPublicKey(seed)),
    })),
  },
];
