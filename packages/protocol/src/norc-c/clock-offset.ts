import { type Instant, instant, LIMITS } from '../base/index.ts';

/** How far the server's clock is from this device's, as far as the device knows. It never sets a clock. */
export interface ClockOffset {
  /** Server's time minus the device's. */
  readonly milliseconds: number;
  /** The true offset is at most this far away, if the network was as fast one way as the other. */
  readonly uncertaintyMilliseconds: number;
}

/** From the server's first frame: it took an unknown time to come, at most the time for the whole handshake. */
export function offsetFromChallenge(serverTime: number, receivedAt: Instant): ClockOffset {
  return {
    milliseconds: serverTime - receivedAt,
    uncertaintyMilliseconds: LIMITS.handshakeMillisecondsMax,
  };
}

/** From a question and its answer: the server read its clock somewhere between the two. */
export function offsetFromRoundTrip(sentAt: Instant, serverTime: number, receivedAt: Instant): ClockOffset {
  const uncertaintyMilliseconds = Math.ceil(Math.max(0, receivedAt - sentAt) / 2);
  return { milliseconds: serverTime - (receivedAt - uncertaintyMilliseconds), uncertaintyMilliseconds };
}

/** The better known of two. On a tie the later one, since clocks drift. */
export function betterOffset(earlier: ClockOffset, later: ClockOffset): ClockOffset {
  return later.uncertaintyMilliseconds <= earlier.uncertaintyMilliseconds ? later : earlier;
}

/** The server's time, as the device reckons it; what proofs carry. */
export function serverTime(offset: ClockOffset, now: Instant): Instant {
  return instant(Math.max(0, now + offset.milliseconds));
}

/** Whether a person should look at this device's clock: it is wrong by more than proofs may be. */
export function isDrifting(offset: ClockOffset): boolean {
  const surely = Math.abs(offset.milliseconds) - offset.uncertaintyMilliseconds;
  return surely > LIMITS.authSkewMillisecondsMax;
}
