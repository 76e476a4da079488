import { type Instant, type Random, zeroBytes } from '../base/index.ts';
import { type Crypto, deriveChannelKeys, deriveMasterSecret, type KeyClass } from '../crypto/index.ts';
import type { JsonObject } from '../wire/index.ts';
import { type ChannelSide, SecureChannel } from './channel.ts';
import type { HelloRole } from './roles.ts';
import type { HybridSuite } from './suites.ts';
import type { NegotiatedVersion, Version, VersionList } from './versions.ts';

/** What both sides hold after the hellos: a channel that is encrypted, but whose initiator is not known yet. */
export interface HelloOutcome<K extends KeyClass> {
  readonly version: Version;
  readonly compatibilityMode: boolean;
  readonly suite: HybridSuite;
  /** Own capabilities that the peer has too. */
  readonly capabilities: readonly string[];
  readonly transcriptHash: Uint8Array;
  readonly peerVersions: VersionList;
  /** The peer's hello as it came, for the fields of the layer above. */
  readonly peerHello: JsonObject;
  /** One per stream of the role; whoever gets them closes each. */
  readonly channels: Readonly<Record<K, SecureChannel>>;
}

/** What an outcome is made from, besides the negotiation. */
export interface SessionKeyInput<K extends KeyClass> {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly role: HelloRole<K>;
  readonly side: ChannelSide;
  readonly version: NegotiatedVersion;
  readonly suite: HybridSuite;
  readonly clientNonce: Uint8Array;
  readonly serverNonce: Uint8Array;
  /** Zeroed here. */
  readonly sharedSecret: Uint8Array;
  readonly transcriptHash: Uint8Array;
  readonly now: Instant;
}

/** The key schedule of spec/handshake section 5, one channel per stream of the role. */
export function openChannels<K extends KeyClass>(input: SessionKeyInput<K>): Readonly<Record<K, SecureChannel>> {
  const { crypto, suite, sharedSecret } = input;
  const masterSecret = deriveMasterSecret(crypto, suite.hash, input);
  const channels = input.role.keyClasses.map((keyClass) => {
    const keys = deriveChannelKeys(crypto, suite.hash, masterSecret, keyClass);
    const channel = new SecureChannel({ ...input, version: input.version.version, keys, keyClass });
    return [keyClass, channel] as const;
  });
  zeroBytes(sharedSecret, masterSecret);
  return Object.fromEntries(channels) as Record<K, SecureChannel>; // one entry for each class of the role
}
