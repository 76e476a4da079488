import type { MlsGroup } from '@norc/mls';
import {
  type Domain,
  domainOf,
  type Instant,
  isRetryable,
  LABELS,
  type Label,
  ok,
  type Reject,
  type Result,
  type UserAddress,
} from '@norc/protocol/base';
import { atLeast, type GrantedLevel, labelAllowed } from '@norc/protocol/norc-t';
import type { Problem } from '../timeline/causes.ts';
import type { Standing, TrustAnchors, TrustRefusal } from './anchors.ts';

/** What a conversation asks of every organisation in it. */
export interface Carriage {
  readonly label: Label;
  readonly floor: GrantedLevel;
}

/** Why something under a label may not pass between the own organisation and `org`. */
export interface LevelRefusal extends Reject {
  readonly org: Domain;
  readonly problem: Problem;
  /**
   * never: somebody has to decide otherwise. later: by itself, when the server can be asked or
   * trust is fresh again. removal: trust is over, and whoever is concerned is about to be put out.
   */
  readonly passes: 'never' | 'later' | 'removal';
}

type Anchors = Pick<TrustAnchors, 'current' | 'standing' | 'receiving'>;

/** The first organisation that may not have what this conversation says [DEV-14]; nobody is asked where all is known. */
export async function refuseCarriage(
  anchors: Anchors,
  orgs: Iterable<Domain>,
  carriage: Carriage,
): Promise<LevelRefusal | undefined> {
  for (const org of orgs) {
    const refused = judged(await standingOf(anchors, org), org, (found) => refuseLevel(found, carriage));
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** The first organisation that may not come into, or stay in, a conversation with this floor [DEV-16]. */
export async function refuseMembership(
  anchors: Anchors,
  orgs: Iterable<Domain>,
  carriage: Carriage,
): Promise<LevelRefusal | undefined> {
  const refuse = (found: Standing) => refuseFloor(found, carriage) ?? refuseLevel(found, carriage);
  for (const org of orgs) {
    const refused = judged(await standingOf(anchors, org), org, refuse);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

async function standingOf(anchors: Anchors, org: Domain): Promise<Result<Standing, TrustRefusal>> {
  const known = anchors.current(org);
  return known === undefined ? await anchors.standing(org) : ok(known);
}

/** The same for something received [DEV-15]: the own organisation and the sender's. */
export async function refuseReceived(
  anchors: Anchors,
  own: Domain,
  entry: { readonly senderUser: UserAddress; readonly label: Label; readonly storedAt: Instant },
  floor: GrantedLevel,
): Promise<LevelRefusal | undefined> {
  const { label, storedAt } = entry;
  const sender = domainOf(entry.senderUser);
  for (const org of new Set([own, sender])) {
    const found = await anchors.receiving(org, storedAt);
    const refused = judged(found, org, (standing) => refuseLevel(standing, { label, floor }));
    if (refused !== undefined) return refused;
  }
  return atLeast(floor, LABELS[label].level) ? undefined : tooLow(own, label, floor);
}

function judged(
  found: Result<Standing, TrustRefusal>,
  org: Domain,
  refuse: (standing: Standing) => LevelRefusal | undefined,
): LevelRefusal | undefined {
  return found.ok ? refuse(found.value) : refuseTrust(org, found.error);
}

function refuseLevel({ org, level, natoCapable }: Standing, { label, floor }: Carriage): LevelRefusal | undefined {
  if (!labelAllowed(label, level, natoCapable)) return tooLow(org, label, level);
  return refuseFloor({ org, level, natoCapable }, { label, floor });
}

function refuseFloor({ org, level }: Standing, { floor }: Carriage): LevelRefusal | undefined {
  if (atLeast(level, floor)) return undefined;
  const problem: Problem = { cause: 'trust.below_floor', org, level, floor };
  return { code: 'below_floor', detail: 'trust level', org, problem, passes: 'never' };
}

function tooLow(org: Domain, label: Label, level: GrantedLevel): LevelRefusal {
  const problem: Problem = { cause: 'trust.too_low', org, label, level };
  return { code: 'label_not_allowed', detail: 'trust level', org, problem, passes: 'never' };
}

function refuseTrust(org: Domain, error: TrustRefusal): LevelRefusal {
  return { code: error.code, detail: error.detail, org, ...waitFor(org, error) };
}

function waitFor(org: Domain, { code, reason }: TrustRefusal): Pick<LevelRefusal, 'problem' | 'passes'> {
  if (code === 'trust_stale') return { problem: { cause: 'trust.stale', org }, passes: 'later' };
  if (reason === 'suspended') return { problem: { cause: 'trust.suspended', org }, passes: 'later' };
  if (isRetryable(code)) return { problem: { cause: 'server.unreachable' }, passes: 'later' };
  return { problem: { cause: 'conversation.paused' }, passes: 'removal' };
}

/** Of each group at its present epoch: a message must not cost a walk over all members. */
const ORGANISATIONS = new WeakMap<MlsGroup, { readonly epoch: number; readonly orgs: ReadonlySet<Domain> }>();

/** Organisations with a device in the group, and its hub. */
export function organisationsIn(group: MlsGroup): ReadonlySet<Domain> {
  const known = ORGANISATIONS.get(group);
  if (known?.epoch === group.epoch) return known.orgs;
  const orgs = new Set([group.settings.hub, ...group.members.map(({ identity }) => identity.org)]);
  ORGANISATIONS.set(group, { epoch: group.epoch, orgs });
  return orgs;
}
