import { webSocketTransport } from '@norc/client/platform/node';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type Domain, fromBase64, ok, parseDomain, type Result, reject } from '@norc/protocol/base';
import { rootKeyFingerprint, verifyServerCertificate } from '@norc/protocol/crypto';
import {
  type AwaitHelloAnswer,
  checkVersionList,
  HYBRID_SUITES,
  NORC_C_HELLO,
  SUPPORTED_VERSIONS,
  startHello,
  suitesOf,
  versionText,
} from '@norc/protocol/handshake';
import { canonicalJson, isJsonObject, type JsonObject } from '@norc/protocol/wire';

export interface ProbeAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** What a server says to somebody whom it does not know. */
export interface Probe {
  readonly version: string;
  readonly suite: (typeof HYBRID_SUITES)[number];
  readonly compatibilityMode: boolean;
  readonly transcriptHash: Uint8Array;
  /** As the server says; nobody vouches for it. */
  readonly organisation: Domain;
  readonly rootFingerprint: Uint8Array;
}

const ANSWER_MS_MAX = 10_000;

/**
 * One hello and no more: nothing about this device is sent. Errors: no_route when nobody
 * answers; what the server refuses with; what the hello machine finds wrong.
 */
export function probeServer(address: ProbeAddress): Promise<Result<Probe>> {
  return new Promise((resolve) => {
    const { text, state } = startHello(helloConfig(), { crypto: nodeCrypto, random: nodeRandom });
    const patience = setTimeout(() => finish(reject('no_route', 'no answer in time')), ANSWER_MS_MAX);
    const finish = (outcome: Result<Probe>) => {
      clearTimeout(patience);
      state.abandon();
      connection.close();
      resolve(outcome);
    };
    const connection = webSocketTransport().connect(address, {
      opened: () => connection.send(text),
      message: (answer) => {
        if (typeof answer === 'string') finish(readAnswer(state, answer));
      },
      closed: () => finish(reject('no_route', 'closed')),
    });
  });
}

function helloConfig() {
  const versions = checkVersionList(SUPPORTED_VERSIONS);
  if (!versions.ok) throw new RangeError(versions.error.detail);
  return { role: NORC_C_HELLO, versions: versions.value, suites: suitesOf(HYBRID_SUITES), capabilities: [] };
}

function readAnswer(state: AwaitHelloAnswer<'control'>, answer: string): Result<Probe> {
  const now = nodeClock.now();
  const outcome = state.receive(answer, {
    verifyCertificate: (certificate, hello) => verifyClaim(certificate, hello),
    memory: { newestMajorSeen: undefined, allowOlder: false },
    now,
  });
  if (!outcome.ok) return outcome;
  const { version, suite, compatibilityMode, transcriptHash, responder, channels } = outcome.value;
  for (const channel of Object.values(channels)) channel.close();
  return ok({
    ...{ compatibilityMode, transcriptHash, version: versionText(version), suite: suite.name },
    ...{ organisation: responder.organisation, rootFingerprint: responder.rootFingerprint },
  });
}

/** Against the root key that the server itself names: shows that they belong together, not whose they are. */
function verifyClaim(certificate: JsonObject, hello: JsonObject) {
  const claim = hello['organisation'];
  if (claim === undefined || !isJsonObject(claim)) return reject('certificate_invalid', 'organisation of the hello');
  const org = parseDomain(typeof claim['domain'] === 'string' ? claim['domain'] : '');
  const rootKey = typeof claim['root_key'] === 'string' ? fromBase64(claim['root_key']) : undefined;
  if (!org.ok || rootKey?.length !== 32) return reject('certificate_invalid', 'organisation of the hello');
  const pinned = { org: org.value, rootKey };
  const verified = verifyServerCertificate(nodeCrypto, canonicalJson(certificate), {
    pinned,
    usage: 'server',
    now: nodeClock.now(),
  });
  if (!verified.ok) return verified;
  const rootFingerprint = rootKeyFingerprint(nodeCrypto, rootKey);
  return ok({ publicKey: verified.value.publicKey, organisation: org.value, rootFingerprint });
}
