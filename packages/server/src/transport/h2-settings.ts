import {
  type ClientSessionOptions,
  constants,
  type Http2Session,
  type ServerSessionOptions,
  type Settings,
} from 'node:http2';
import type { LinkCloseCause, PriorityClass } from './port.ts';

/** ALPN names in our order of preference (spec/transport section 2). */
export const LINK_ALPN = ['norc-f/2.0', 'norc-f/1.2'] as const;

export const PRIORITY_CLASSES = ['control', 'interactive', 'bulk'] as const satisfies readonly PriorityClass[];

const PATH_PREFIX = '/norc-f/';

export function pathOf(priority: PriorityClass): string {
  return PATH_PREFIX + priority;
}

export function priorityOf(path: string | undefined): PriorityClass | undefined {
  return PRIORITY_CLASSES.find((priority) => pathOf(priority) === path);
}

const KIB = 1024;
const STREAM_WINDOW_BYTES = 1024 * KIB;
/** Granted when a link is complete; until then HTTP/2's 64 KiB. Room for all three streams, so that a full bulk stream cannot take the window of the other two. */
export const SESSION_WINDOW_BYTES = 4 * STREAM_WINDOW_BYTES;

const SETTINGS: Settings = {
  enablePush: false,
  headerTableSize: 0,
  initialWindowSize: STREAM_WINDOW_BYTES,
  maxConcurrentStreams: PRIORITY_CLASSES.length,
  maxHeaderListSize: 2 * KIB,
};

/**
 * A link opens three streams with a handful of headers each and never another. All
 * that HTTP/2 offers beyond that is only of use to an attacker (rapid reset
 * CVE-2023-44487, settings, ping and empty-frame floods CVE-2019-9512 to 9518).
 */
const BOUNDS = {
  settings: SETTINGS,
  maxSettings: 16,
  maxHeaderListPairs: 16,
  maxSendHeaderBlockLength: 2 * KIB,
  maxDeflateDynamicTableSize: 0,
  maxSessionMemory: 16,
  maxOutstandingPings: 2,
  maxSessionInvalidFrames: 8,
  maxSessionRejectedStreams: 4,
  maxReservedRemoteStreams: 0,
} as const;

export const CLIENT_SESSION_OPTIONS: ClientSessionOptions = BOUNDS;
export const SERVER_SESSION_OPTIONS: ServerSessionOptions = { ...BOUNDS, streamResetBurst: 4, streamResetRate: 1 };

export const H2_ERROR = {
  none: constants.NGHTTP2_NO_ERROR,
  protocol: constants.NGHTTP2_PROTOCOL_ERROR,
  calm: constants.NGHTTP2_ENHANCE_YOUR_CALM,
} as const;

/** What the error code that a peer gives means for the link. */
export function causeOfH2Code(code: number): LinkCloseCause {
  if (code === constants.NGHTTP2_NO_ERROR || code === constants.NGHTTP2_CANCEL) return 'closed';
  if (code === constants.NGHTTP2_REFUSED_STREAM) return 'refused';
  return code === constants.NGHTTP2_ENHANCE_YOUR_CALM ? 'timeout' : 'protocol';
}

/** Ends a session at once; the code in its GOAWAY tells the peer why. */
export function destroySession(session: Http2Session, code: number): void {
  if (code === H2_ERROR.none) session.destroy();
  else session.destroy(new Error(`the link ended with HTTP/2 code ${code}`), code);
}
