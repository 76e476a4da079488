import {
  type DeviceId,
  domainOf,
  type Instant,
  idFromBytes,
  LIMITS,
  ok,
  type Random,
  type Reject,
  type Result,
  reject,
  sameBytes,
  utf8Length,
} from '@norc/protocol/base';
import {
  type Crypto,
  type DeviceCertificateChain,
  type PinnedOrg,
  rootKeyFingerprint,
  verifyDeviceCertificate,
} from '@norc/protocol/crypto';
import { checkVersionList, SUPPORTED_VERSIONS, type VersionList } from '@norc/protocol/handshake';
import {
  decodeEnrolmentCode,
  type EnrolmentCode,
  type EnrolmentCodeFault,
  type NorcCBody,
} from '@norc/protocol/norc-c';
import { isLoopbackHost } from '../session/address.ts';
import { fingerprintedServer } from '../session/server-evidence.ts';
import { type LinkEnd, type LinkFacts, type LinkWorld, SessionLink } from '../session/session-link.ts';
import type { ClientStore } from '../store/port.ts';
import type { DeviceRow } from '../store/rows.ts';
import { checkingTime } from '../trust/clock-skew.ts';

export interface EnrolOptions extends LinkWorld {
  /** As the person typed it. */
  readonly code: string;
  /** As the person wants it listed; at most 128 bytes. */
  readonly deviceName: string;
  /** An empty profile, or one whose enrolment did not get its answer. */
  readonly store: ClientStore;
  /** What this program may speak; by default all it can. */
  readonly versions?: VersionList;
  /** Dial plain WebSocket beyond this machine, when the code says so. */
  readonly allowPlain?: boolean;
}

export interface EnrolmentReject extends Reject {
  /** What is wrong with the code as it was typed. */
  readonly reason?: EnrolmentCodeFault;
  /** No connection came about, or it broke: the same code can be tried again. */
  readonly cause?: LinkEnd['cause'];
}

/** The device as it is stored: registered, and proven to its server once. */
export type Enrolled = DeviceRow & { readonly registration: NonNullable<DeviceRow['registration']> };

/**
 * Makes this profile a device of the code's user. The new key is stored before the
 * server hears of it, so a lost answer is asked for again with the same code and key.
 *
 * Errors: those of the code; certificate_invalid when somebody else than the code's
 * organisation answers, before anything is said to them; enrolment_invalid when the
 * code is used, expired or for somebody else; clock_skew when this device's clock is
 * outside of its new certificate; no_route. Throws RangeError for a profile
 * that is a device already, StoreError when the store fails.
 */
export async function enrol(options: EnrolOptions): Promise<Result<Enrolled, EnrolmentReject>> {
  const { store, crypto, deviceName } = options;
  if (utf8Length(deviceName) > LIMITS.deviceNameBytesMax || deviceName === '') {
    return reject('limit_exceeded', 'device name');
  }
  const known = await store.read.device();
  if (known?.registration !== undefined) throw new RangeError('this profile is enrolled already');
  const code = decodeEnrolmentCode(crypto, options.code);
  if (!code.ok) return code;
  const { server } = code.value;
  if (!server.tls && !isLoopbackHost(server.host) && options.allowPlain !== true) {
    return reject('certificate_invalid', 'the code asks for a connection without TLS');
  }
  return await new Enrolment(options, code.value, draft(options, code.value, known)).run();
}

type Draft = Omit<DeviceRow, 'orgRootKey' | 'registration'>;

/** A key that was made for the same user and organisation is used again: the server may have certified it. */
function draft({ crypto, random, deviceName: name }: EnrolOptions, code: EnrolmentCode, known?: DeviceRow): Draft {
  const { user, server, rootFingerprint } = code;
  const repeats =
    known !== undefined &&
    known.user === user &&
    sameBytes(rootKeyFingerprint(crypto, known.orgRootKey), rootFingerprint);
  const made = repeats ? known : newKey(crypto, random);
  const { deviceId, publicKey, privateKey } = made;
  return { deviceId, user, domain: domainOf(user), name, server, publicKey, privateKey };
}

function newKey(crypto: Crypto, random: Random) {
  const { publicKey, privateKey } = crypto.ed25519.keyPair((length) => random.bytes(length));
  return { deviceId: newDeviceId(random), publicKey, privateKey };
}

/** UUID version 4 (RFC 9562 section 5.4). */
function newDeviceId(random: Random): DeviceId {
  const bytes = random.bytes(16);
  bytes[6] = 0x40 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return idFromBytes(bytes);
}

/** One attempt: one connection. */
class Enrolment {
  readonly #options: EnrolOptions;
  readonly #code: EnrolmentCode;
  readonly #draft: Draft;
  readonly #outcome = Promise.withResolvers<Result<Enrolled, EnrolmentReject>>();
  #link: SessionLink | undefined;
  #device: DeviceRow | undefined;
  #fault: unknown;

  constructor(options: EnrolOptions, code: EnrolmentCode, device: Draft) {
    this.#options = options;
    this.#code = code;
    this.#draft = device;
  }

  run(): Promise<Result<Enrolled, EnrolmentReject>> {
    const { crypto, versions, deviceName } = this.#options;
    const { user, secret, server, rootFingerprint } = this.#code;
    const { deviceId, publicKey, privateKey, domain } = this.#draft;
    const options = {
      ...this.#options,
      address: server,
      organisation: domain,
      versions: versions ?? ALL_VERSIONS,
      memory: { newestMajorSeen: undefined, allowOlder: false },
      verifyServer: fingerprintedServer(crypto, domain, rootFingerprint),
      device: { deviceId, publicKey, sign: (message: Uint8Array) => crypto.ed25519.sign(privateKey, message) },
      enrolment: { user, code: secret, deviceName },
    };
    this.#link = new SessionLink(options, {
      handshaken: (facts) => this.#keeping(() => this.#storeKey(facts)),
      enrolled: (registered, now) => this.#keeping(() => this.#storeCertificate(registered, now)),
      ready: () => this.#ready(),
      message: () => undefined,
      ended: (end) => this.#ended(end),
    });
    return this.#outcome.promise;
  }

  /** Before the server hears of the key: from here on the same registration can be repeated. */
  async #storeKey({ server }: LinkFacts): Promise<Result<void>> {
    this.#device = { ...this.#draft, orgRootKey: server.pinned.rootKey };
    await this.#options.store.transact([{ op: 'device.put', device: this.#device }]);
    return ok(undefined);
  }

  async #storeCertificate(registered: NorcCBody<'device_registered'>, now: Instant): Promise<Result<void>> {
    const device = this.#device;
    if (device === undefined) return reject('unexpected_message', 'device_registered');
    const { device_certificate: certificate, issuer_certificate: issuer } = registered;
    const pinned = { org: device.domain, rootKey: device.orgRootKey };
    // By this device's own clock, as it will be verified from now on: what the server says of the time moves it little.
    const chain = { certificate, issuer };
    const verified = this.#verify(chain, pinned, checkingTime(this.#options.clock.now(), now));
    if (!verified.ok) {
      const byServer = this.#verify(chain, pinned, now);
      return byServer.ok ? reject('clock_skew', 'the clock of this device seems to be wrong') : verified;
    }
    const { deviceId, user, publicKey } = verified.value;
    if (deviceId !== device.deviceId || user !== device.user || !sameBytes(publicKey, device.publicKey)) {
      return reject('certificate_invalid', 'certificate of another device');
    }
    // A store may keep the bytes; they must not be a view of the whole frame.
    const registration = {
      deviceCertificate: certificate.slice(),
      issuerCertificate: issuer.slice(),
      registeredAt: now,
    };
    this.#device = { ...device, registration };
    await this.#options.store.transact([{ op: 'device.put', device: this.#device }]);
    return ok(undefined);
  }

  #verify(chain: DeviceCertificateChain, pinned: PinnedOrg, now: Instant) {
    return verifyDeviceCertificate(this.#options.crypto, chain, { pinned, now });
  }

  /** A failing store is no peer's fault: it is thrown, not returned. */
  async #keeping(step: () => Promise<Result<void>>): Promise<Result<void>> {
    try {
      return await step();
    } catch (fault) {
      this.#fault = fault;
      throw fault;
    }
  }

  #ready(): void {
    this.#finish();
    this.#link?.end('shutting_down');
  }

  #ended({ cause, code }: LinkEnd): void {
    if (this.#fault !== undefined) this.#outcome.reject(this.#fault);
    else if (this.#device?.registration !== undefined) this.#finish();
    else this.#outcome.resolve({ ok: false, error: { code: code ?? 'no_route', detail: 'enrolment', cause } });
  }

  /** The code is spent and the certificate stored: proving it can wait for the next connection. */
  #finish(): void {
    const device = this.#device;
    if (device?.registration === undefined) return;
    this.#outcome.resolve(ok({ ...device, registration: device.registration }));
  }
}

const ALL_VERSIONS: VersionList = listOf(SUPPORTED_VERSIONS);

function listOf(versions: typeof SUPPORTED_VERSIONS): VersionList {
  const list = checkVersionList(versions);
  if (!list.ok) throw new RangeError(list.error.detail);
  return list.value;
}
