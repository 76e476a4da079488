import {
  type Clock,
  type ConversationId,
  type DeviceId,
  type Domain,
  type ErrorName,
  LEVELS,
  ok,
  type Random,
  type Result,
  reject,
  toHex,
  type UserAddress,
} from '@norc/protocol/base';
import {
  type Crypto,
  draftDeviceCertificate,
  type KeyPair,
  type ServerCertificateBody,
  type SignedDocument,
  signDocumentWith,
} from '@norc/protocol/crypto';
import type { VersionList } from '@norc/protocol/handshake';
import type { NorcCBody, NorcCMessage } from '@norc/protocol/norc-c';
import type { ReceivedMessage } from '@norc/protocol/wire';
import type { FakeHub, Sender } from './fake-hub.ts';
import { FakeSession } from './fake-session.ts';
import type { ServerSocket, ServerSocketHandler } from './memory-network.ts';

/** An organisation with its keys, as packages/testkit makes them. */
export interface FakeOrganisation {
  readonly domain: Domain;
  readonly root: KeyPair;
  readonly server: KeyPair;
  readonly certificate: SignedDocument<ServerCertificateBody>;
}

export interface FakeDevice extends Sender {
  readonly publicKey: Uint8Array;
  readonly name: string;
  readonly certificate: Uint8Array;
  revoked: boolean;
}

/** What a dishonest or unlucky server does instead. Each may be exchanged while a test runs. */
export interface Mischief {
  /** An error instead of an answer; `'silence'`: no answer. Nothing: as it should be. */
  request?: (message: ReceivedMessage<NorcCMessage>, device: Sender) => ErrorName | 'silence' | undefined;
  /** After it was handled, instead of its answer. */
  answer?: (message: ReceivedMessage<NorcCMessage>, answer: NorcCMessage, device: Sender) => NorcCMessage | 'silence';
  /** What a device gets of a log, pushed or asked for. */
  entries?: (body: NorcCBody<'log_entries'>, device: Sender) => NorcCBody<'log_entries'>;
}

export interface FakeServerOptions {
  readonly organisation: FakeOrganisation;
  readonly hub: FakeHub;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly clock: Clock;
  versions: VersionList;
  /** Of every organisation of the test: people are looked up through their own. */
  readonly servers: ReadonlyMap<Domain, FakeServer>;
  /** What this organisation's devices are told about another. */
  readonly organisations: (domain: Domain) => NorcCBody<'org_response'>;
}

const DAY_MS = 86_400_000;
/** For clocks that are behind. */
const BACKDATE_MS = 3_600_000;

/** One organisation's server, in memory: real handshake, real session machines, and lists instead of a database. */
export class FakeServer {
  readonly options: FakeServerOptions;
  readonly mischief: Mischief = {};
  readonly devices = new Map<DeviceId, FakeDevice>();
  readonly codes = new Map<string, { readonly user: UserAddress; usedBy?: DeviceId }>();
  readonly packages = new Map<DeviceId, { once: Uint8Array[]; last?: Uint8Array }>();
  readonly sessions = new Set<FakeSession>();
  /** Every request that came, by type. */
  readonly log: NorcCMessage['type'][] = [];
  /** Whether an acknowledgment holds what its entry's hash needs. */
  fullAcks = true;

  constructor(options: FakeServerOptions) {
    this.options = options;
  }

  accept = (socket: ServerSocket): ServerSocketHandler => {
    const session = new FakeSession(this, socket);
    this.sessions.add(session);
    return session;
  };

  enrolmentCode(user: UserAddress): Uint8Array {
    const secret = this.options.random.bytes(16);
    this.codes.set(toHex(secret), { user });
    return secret;
  }

  register(request: NorcCBody<'device_register'>): Result<NorcCBody<'device_registered'>> {
    const code = this.codes.get(toHex(request.code));
    if (code === undefined || code.user !== request.user) return reject('enrolment_invalid', 'code');
    const again = code.usedBy === request.device_id;
    if (code.usedBy !== undefined && !again) return reject('enrolment_invalid', 'code');
    code.usedBy = request.device_id;
    const device = this.devices.get(request.device_id) ?? this.#certify(request);
    this.devices.set(device.deviceId, device);
    const issuer = this.options.organisation.certificate.bytes;
    const status = again ? 'already_registered' : 'registered';
    if (!again) this.listDevices(device.user);
    return ok({ status, device_certificate: device.certificate, issuer_certificate: issuer });
  }

  #certify({ device_id: deviceId, user, name, public_key: publicKey }: NorcCBody<'device_register'>): FakeDevice {
    const { crypto, organisation, clock } = this.options;
    const now = clock.now();
    const draft = draftDeviceCertificate({
      device_id: deviceId,
      user,
      org: organisation.domain,
      public_key: publicKey,
      not_before: now - BACKDATE_MS,
      not_after: now - BACKDATE_MS + LEVELS.basic.deviceLifeDaysMax * DAY_MS,
    });
    const certificate = signDocumentWith(crypto, draft, organisation.server).bytes;
    return { deviceId, user, publicKey, name, certificate, revoked: false };
  }

  revoke(deviceId: DeviceId): void {
    const device = this.devices.get(deviceId);
    if (device === undefined) return;
    device.revoked = true;
    this.packages.delete(deviceId);
    for (const session of this.sessions) if (session.device?.deviceId === deviceId) session.end('auth_failed');
    this.listDevices(device.user);
  }

  /** Tells every device here, unasked. */
  tell(message: NorcCMessage): void {
    for (const session of this.sessions) if (session.device !== undefined) session.push(message);
  }

  /** Tells every device of the user. */
  listDevices(user: UserAddress): void {
    for (const session of this.sessions) {
      if (session.device?.user === user) session.push({ type: 'device_list', body: this.deviceList(user) });
    }
  }

  deviceList(user: UserAddress): NorcCBody<'device_list'> {
    const own = [...this.devices.values()].filter((device) => device.user === user);
    return {
      devices: own.map(({ deviceId, name, revoked }) => ({ device_id: deviceId, name, enrolled_at: 0, revoked })),
    };
  }

  claim(user: UserAddress, except: DeviceId): NorcCBody<'key_response'>['packages'] {
    const own = [...this.devices.values()].filter(
      (one) => one.user === user && !one.revoked && one.deviceId !== except,
    );
    return own.flatMap(({ deviceId }) => {
      const stock = this.packages.get(deviceId);
      const keyPackage = stock?.once.shift() ?? stock?.last;
      return keyPackage === undefined ? [] : [{ user, device_id: deviceId, key_package: keyPackage }];
    });
  }

  /** A log has grown. */
  grown(conversation: ConversationId): void {
    for (const session of this.sessions) session.grown(conversation);
  }

  /** Every connection of this organisation ends. */
  endAll(code: ErrorName): void {
    for (const session of [...this.sessions]) session.end(code);
  }
}
