import {
  type DeviceId,
  type Domain,
  type ErrorName,
  fullBucket,
  LIMITS,
  type RatePolicy,
  type TokenBucket,
  takeTokens,
  type UserAddress,
} from '@norc/protocol/base';
import type { DeviceNotice } from '../norc-t/trust-dependencies.ts';
import type { DeviceSocket, DeviceSocketHandler } from '../transport/port.ts';
import { type ConnectionDependencies, DeviceConnection } from './device-connection.ts';
import { deviceList } from './requests.ts';

const HOUR_MS = 3_600_000;
const REGISTRATIONS: RatePolicy = {
  count: LIMITS.registrationsPerHour,
  perMilliseconds: HOUR_MS,
  burst: LIMITS.registrationsPerHour,
};
const ADDRESSES_MAX = 10_000;

export type DeviceServiceDependencies = Omit<
  ConnectionDependencies,
  'mayRegister' | 'registrationFailed' | 'onBegin' | 'onClosed'
>;

/** All device sessions of one organisation. */
export class DeviceService {
  readonly #d: DeviceServiceDependencies;
  readonly #connections = new Set<DeviceConnection>();
  readonly #failures = new Map<string, TokenBucket>();

  constructor(dependencies: DeviceServiceDependencies) {
    this.#d = dependencies;
    dependencies.directory.onDevicesChanged((user, revoked) => this.#devicesChanged(user, revoked));
  }

  accept(socket: DeviceSocket): DeviceSocketHandler {
    const connection: DeviceConnection = new DeviceConnection(
      {
        ...this.#d,
        mayRegister: (address) => this.#mayRegister(address),
        registrationFailed: (address) => this.#registrationFailed(address),
        onBegin: (begun) => this.#begun(begun),
        onClosed: (closed) => this.#connections.delete(closed),
      },
      socket,
    );
    this.#connections.add(connection);
    return connection;
  }

  get sessions(): number {
    return [...this.#connections].filter((connection) => connection.device !== undefined).length;
  }

  /** Tells every session that the server stops, and closes it. */
  endAll(code: ErrorName): void {
    for (const connection of this.#connections) connection.end(code);
  }

  /** Tells devices what changed with another organisation; how many have a session now. */
  tellTrust(wanted: ReadonlySet<string>, peer: Domain, { level, state, text, at }: DeviceNotice): number {
    const told = [...this.#connections].filter(({ device }) => device !== undefined && wanted.has(device.deviceId));
    for (const connection of told) {
      connection.push({ type: 'trust_notice', body: { domain: peer, level, state, text, at } });
    }
    return told.length;
  }

  /** A device has one session: a second one of the same device is the same device come back, and the first is a dead connection. */
  #begun(begun: DeviceConnection): void {
    const deviceId = begun.device?.deviceId;
    for (const connection of this.#connections) {
      if (connection !== begun && connection.device?.deviceId === deviceId) connection.end('auth_required');
    }
  }

  #devicesChanged(user: UserAddress, revoked: DeviceId | undefined): void {
    if (revoked !== undefined) for (const connection of this.#connections) connection.revoked(revoked);
    void deviceList(this.#d.directory, user)
      .then((message) => {
        for (const connection of this.#connections) if (connection.device?.user === user) connection.push(message);
      })
      .catch(this.#d.onFault);
  }

  /** Only failures count: a code cannot be guessed, and an office behind one address can enrol its people. */
  #mayRegister(address: string): boolean {
    const bucket = this.#failures.get(address);
    return bucket === undefined || takeTokens(REGISTRATIONS, bucket, this.#d.clock.now()).allowed;
  }

  #registrationFailed(address: string): void {
    const now = this.#d.clock.now();
    const bucket = this.#failures.get(address) ?? fullBucket(REGISTRATIONS, now);
    this.#failures.delete(address);
    this.#failures.set(address, takeTokens(REGISTRATIONS, bucket, now).bucket);
    const oldest = this.#failures.keys().next().value;
    if (this.#failures.size > ADDRESSES_MAX && oldest !== undefined) this.#failures.delete(oldest);
  }
}
