import { LIMITS } from '@norc/protocol/base';

/** Bounds of a listener for devices. Operators set some of them in `[limits]`. */
export interface DeviceLimits {
  readonly connectionsMax: number;
  /** Per source: an IPv4 address, or an IPv6 /64, which is what one customer of a provider holds. */
  readonly connectionsPerSourceMax: number;
  /** Output that one device has not taken; over it the device is closed and catches up when it comes back. */
  readonly bufferedBytesMax: number;
  /** One frame. */
  readonly messageBytesMax: number;
  /** One text message (hello). */
  readonly textBytesMax: number;
  /** Input between two messages while a device has not proven who it is. */
  readonly unprovenBytesMax: number;
  /** From the connection to the first message, or to the proof where the handler tells of it. */
  readonly handshakeMs: number;
  /** A silent device is asked for a sign of life this often, and closed when it gives none until the next time. */
  readonly pingIntervalMs: number;
  /** For the far side to finish a close before the connection is cut. */
  readonly closeMs: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEVICE_LIMITS: DeviceLimits = {
  connectionsMax: 10_000,
  connectionsPerSourceMax: 1_000,
  bufferedBytesMax: 2 * LIMITS.frameBytesMax,
  messageBytesMax: LIMITS.frameBytesMax,
  textBytesMax: LIMITS.helloBytesMax,
  unprovenBytesMax: 128 * KIB,
  handshakeMs: LIMITS.handshakeMillisecondsMax,
  pingIntervalMs: 30_000,
  closeMs: 5_000,
};

/** Bounds of the links between servers. */
export interface LinkLimits {
  readonly connectionsMax: number;
  readonly connectionsPerSourceMax: number;
  readonly frameBytesMax: number;
  /** One frame from a peer whose handler says that it has not proven who it is. Holds a padded trust document. */
  readonly unprovenFrameBytesMax: number;
  /** Output on one stream that the peer has not taken; over it the link closes and its outbox waits. */
  readonly bufferedBytesMax: number;
  /** `drained()` resolves below this. */
  readonly lowWaterBytes: number;
  /** Most bytes handed to HTTP/2 at once, so that a higher class never waits behind more than this. */
  readonly batchBytesMax: number;
  readonly connectMs: number;
  readonly pingIntervalMs: number;
  /** Pings and settings frames that a peer may send between two of our own pings: each costs us an answer. */
  readonly peerPingsPerIntervalMax: number;
  readonly closeMs: number;
}

export const LINK_LIMITS: LinkLimits = {
  connectionsMax: 512,
  connectionsPerSourceMax: 64,
  frameBytesMax: LIMITS.frameBytesMax,
  unprovenFrameBytesMax: 2 * LIMITS.documentBytesMax,
  bufferedBytesMax: 4 * LIMITS.frameBytesMax,
  lowWaterBytes: 256 * KIB,
  batchBytesMax: MIB,
  connectMs: LIMITS.handshakeMillisecondsMax,
  pingIntervalMs: 30_000,
  peerPingsPerIntervalMax: 32,
  closeMs: 5_000,
};

/** Rejects limits under which a legal frame could never pass. */
export function checkDeviceLimits(limits: DeviceLimits): DeviceLimits {
  if (limits.bufferedBytesMax < limits.messageBytesMax) throw new RangeError('bufferedBytesMax is below one frame');
  if (limits.textBytesMax > limits.unprovenBytesMax) throw new RangeError('textBytesMax is above unprovenBytesMax');
  return limits;
}

export function checkLinkLimits(limits: LinkLimits): LinkLimits {
  if (limits.bufferedBytesMax < 2 * limits.frameBytesMax) throw new RangeError('bufferedBytesMax is below two frames');
  if (limits.lowWaterBytes >= limits.bufferedBytesMax)
    throw new RangeError('lowWaterBytes is not below bufferedBytesMax');
  return limits;
}
