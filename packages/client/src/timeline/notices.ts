import type { Domain, UserAddress } from '@norc/protocol/base';

export type TrustEndCause = 'trust_revoked' | 'trust_expired' | 'trust_ended';

/**
 * Lines that the conversation itself writes: who came and went, whose devices
 * changed. Facts from verified commits; only a title is somebody's text. They are no
 * messages and never unread: every badge must be one that reading takes away.
 */
export type Notice =
  | { readonly notice: 'created'; readonly by: UserAddress }
  | { readonly notice: 'joined'; readonly users: readonly UserAddress[]; readonly by: UserAddress }
  | { readonly notice: 'removed'; readonly users: readonly UserAddress[]; readonly by: UserAddress }
  /** All its devices that were here, at the word of the hub: trust between organisations ended. */
  | { readonly notice: 'organisation_removed'; readonly org: Domain; readonly cause: TrustEndCause }
  /** Nothing goes on here: trust with this organisation ended. */
  | { readonly notice: 'closed'; readonly org: Domain; readonly cause: TrustEndCause }
  /** Somebody of an organisation below the conversation's level was let in: nothing more is sent from here. */
  | { readonly notice: 'below_floor'; readonly org: Domain; readonly by: UserAddress }
  | { readonly notice: 'left'; readonly user: UserAddress }
  | { readonly notice: 'device_added'; readonly user: UserAddress; readonly count: number }
  | { readonly notice: 'device_removed'; readonly user: UserAddress; readonly count: number }
  /** A person whom this user compared safety numbers with has other devices now. */
  | { readonly notice: 'person_changed'; readonly user: UserAddress }
  | { readonly notice: 'renamed'; readonly by: UserAddress; readonly title: string }
  | { readonly notice: 'paused'; readonly org: string }
  | { readonly notice: 'resumed' };
