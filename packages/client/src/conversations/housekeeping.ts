import type { DeviceId, UserAddress } from '@norc/protocol/base';
import { Alarm } from '../session/timers.ts';
import { Batch } from './batch.ts';
import type { Cell } from './cell.ts';
import type { CommitDriver } from './commit-driver.ts';
import type { EngineContext } from './context.ts';
import { devicesOf, Turn } from './turns.ts';

/** This user's devices, as the own server lists them. */
export interface OwnDevices {
  /** Enrolled and not revoked. */
  readonly active: ReadonlySet<DeviceId>;
  readonly revoked: ReadonlySet<DeviceId>;
}

/** A new device publishes its KeyPackages a moment after it is listed. */
const RETRY_MS_MIN = 2_000;
const RETRIES_MAX = 8;
/** However many devices there are, none waits longer than these do one after the other. */
const RIVALS_MAX = 40;

/**
 * What nobody asks for and somebody has to do in a conversation: let own new devices
 * in, put revoked ones and those who leave out, and commit proposals.
 */
export class Housekeeping {
  readonly #ctx: EngineContext;
  readonly #cell: Cell;
  readonly #driver: CommitDriver;
  readonly #run: (step: () => Promise<void>) => void;
  readonly #own: () => OwnDevices | undefined;
  readonly #devices: Turn;
  readonly #leavers: Turn;
  readonly #proposals: Turn;
  readonly #retry: Alarm;
  readonly #leaving = new Set<UserAddress>();
  #retries = 0;

  constructor(
    ctx: EngineContext,
    cell: Cell,
    driver: CommitDriver,
    own: () => OwnDevices | undefined,
    run: (step: () => Promise<void>) => void,
  ) {
    this.#ctx = ctx;
    this.#cell = cell;
    this.#driver = driver;
    this.#own = own;
    this.#run = run;
    const { turnMilliseconds } = ctx.policy;
    this.#devices = new Turn(ctx.timers, turnMilliseconds);
    this.#leavers = new Turn(ctx.timers, turnMilliseconds);
    this.#proposals = new Turn(ctx.timers, turnMilliseconds);
    this.#retry = new Alarm(ctx.timers);
  }

  close(): void {
    for (const turn of [this.#devices, this.#leavers, this.#proposals]) turn.cancel();
    this.#retry.clear();
  }

  // All that follows is called inside the conversation's queue.

  /** The list of own devices, or the members, may have changed. */
  checkDevices(): void {
    const { group, isOpen } = this.#cell;
    if (!isOpen || group === undefined || this.#devices.waits) return;
    if (this.#missing().length === 0 && this.#superfluous().length === 0) {
      this.#retries = 0;
      return;
    }
    const { user, deviceId } = this.#ctx.self;
    const candidates = devicesOf(group.members, (one) => one === user);
    this.#devices.take(deviceId, candidates, () => this.#run(() => this.#mendDevices()));
  }

  /** Own devices that are in no leaf. */
  #missing(): readonly DeviceId[] {
    const own = this.#own();
    const members = new Set(this.#cell.group?.members.map(({ identity }) => identity.deviceId));
    return [...(own?.active ?? [])].filter((device) => !members.has(device));
  }

  /** Leaves of own devices that were revoked. */
  #superfluous(): readonly DeviceId[] {
    const revoked = this.#own()?.revoked;
    const members = this.#cell.group?.members ?? [];
    return members.map(({ identity }) => identity.deviceId).filter((device) => revoked?.has(device) === true);
  }

  async #mendDevices(): Promise<void> {
    if (!this.#cell.isOpen) return;
    const batch = new Batch();
    const devices = this.#superfluous();
    if (devices.length > 0 && !this.#driver.wants('remove')) this.#driver.want({ type: 'remove', devices }, batch);
    if (this.#missing().length > 0 && !this.#driver.wants('add')) {
      this.#driver.want({ type: 'add', users: [this.#ctx.self.user] }, batch);
      this.#checkAgain();
    }
    await this.#cell.store(batch);
  }

  #checkAgain(): void {
    if (this.#retries >= RETRIES_MAX) return;
    this.#retry.set(RETRY_MS_MIN * 2 ** this.#retries, () => this.#run(async () => this.checkDevices()));
    this.#retries += 1;
  }

  /** This user said that they leave; a member cannot remove itself. */
  leaving(user: UserAddress): void {
    this.#leaving.add(user);
    const { group } = this.#cell;
    if (group === undefined) return;
    const candidates = devicesOf(group.members, (one) => !this.#leaving.has(one));
    this.#leavers.take(this.#ctx.self.deviceId, candidates, () => this.#run(() => this.#removeLeavers()));
  }

  async #removeLeavers(): Promise<void> {
    const { group, isOpen } = this.#cell;
    const devices = group === undefined ? [] : devicesOf(group.members, (user) => this.#leaving.has(user));
    this.#leaving.clear();
    if (!isOpen || devices.length === 0) return;
    const batch = new Batch();
    this.#driver.want({ type: 'remove', devices }, batch);
    await this.#cell.store(batch);
  }

  /**
   * Proposals wait: devices of the hub's organisation go first, each after a moment of its own, then
   * all others. The first wins; the others find it done, or lose a race that costs nothing.
   */
  proposed(): void {
    const { group } = this.#cell;
    if (group?.active !== true || !group.hasProposals || this.#proposals.waits) return;
    const going = new Set(group.proposedRemovals.map(({ member }) => member.identity.deviceId));
    const staying = group.members.map(({ identity }) => identity).filter(({ deviceId }) => !going.has(deviceId));
    const first = staying.filter(({ org }) => org === group.settings.hub);
    const { self, random, policy } = this.#ctx;
    if (!staying.some(({ deviceId }) => deviceId === self.deviceId)) return;
    const isFirst = first.length === 0 || self.org === group.settings.hub;
    const rivals = Math.min((isFirst && first.length > 0 ? first : staying).length, RIVALS_MAX) - 1;
    const [byte = 0] = random.bytes(1);
    const moment = Math.floor((byte / 256) * rivals * policy.rivalMilliseconds);
    const delay = moment + (isFirst ? 0 : policy.turnMilliseconds);
    this.#proposals.after(delay, () => this.#run(() => this.commitProposals()));
  }

  /** A commit takes every waiting proposal in. */
  async commitProposals(): Promise<void> {
    const { group } = this.#cell;
    if (group?.hasProposals === true) await this.commitFirst(group.epoch);
  }

  /** A fresh epoch, unless one is on its way. */
  async commitFirst(epoch: number): Promise<void> {
    const { group, isOpen, commit } = this.#cell;
    if (!isOpen || group?.epoch !== epoch || commit.state !== 'idle' || this.#driver.wants('update')) return;
    const batch = new Batch();
    this.#driver.want({ type: 'update' }, batch, { forEpoch: epoch });
    await this.#cell.store(batch);
  }
}
