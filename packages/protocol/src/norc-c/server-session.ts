import {
  type DeviceId,
  type ErrorName,
  type Instant,
  instant,
  LIMITS,
  type MessageId,
  type Result,
  type UserAddress,
} from '../base/index.ts';
import type { Crypto } from '../crypto/index.ts';
import { deviceProofInput, registrationProofInput } from '../handshake/index.ts';
import type { ReceivedMessage } from '../wire/index.ts';
import type { NorcCBody, NorcCMessage } from './messages.ts';
import { admitFromDevice } from './session-rules.ts';

/**
 * One device's session at its home server, from the end of the hello on (spec/norc-c
 * section 2). States are named for what they wait for. Handling a state gives the
 * next one and effects, to be carried out in order; nothing here waits or stores.
 */
export type ServerSession = AwaitingDevice | AwaitingDirectory | AwaitingRegistration | Authenticated | Closing;

interface Unproven {
  readonly transcriptHash: Uint8Array;
  /** Used once: it is gone with the first proof that refers to it. */
  readonly challenge: Uint8Array;
  /** The device has to be authenticated by then. */
  readonly deadline: Instant;
}

/** Waits for `auth_response` or `device_register`. */
export interface AwaitingDevice extends Unproven {
  readonly state: 'awaiting_device';
}

/** Waits for what the directory knows of the device that says it is there. */
export interface AwaitingDirectory extends Unproven {
  readonly state: 'awaiting_directory';
  readonly request: MessageId;
  readonly proof: NorcCBody<'auth_response'>;
}

/** Waits for the directory to spend an enrolment code. */
export interface AwaitingRegistration extends Omit<Unproven, 'challenge'> {
  readonly state: 'awaiting_registration';
  readonly request: MessageId;
}

export interface Authenticated {
  readonly state: 'authenticated';
  readonly device: ProvenDevice;
}

/** Nothing is handled any more; what is under way is finished. */
export interface Closing {
  readonly state: 'closing';
  readonly code: ErrorName;
}

declare const proven: unique symbol;

/** Evidence: this session's device signed this session's challenge. Only `deviceFound` makes one. */
export type ProvenDevice = { readonly deviceId: DeviceId; readonly user: UserAddress } & { readonly [proven]: true };

/**
 * What the directory knows. A device that was revoked is given as not found. Ask for
 * the stock of unknown ids too: one question more for known devices would tell them apart.
 */
export interface KnownDevice {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly publicKey: Uint8Array;
  readonly keyStock: number;
}

/** `to`: the request that it answers; absent for a push, which gets an id of its own. */
export type SessionEffect =
  | { readonly do: 'send'; readonly message: NorcCMessage; readonly to?: MessageId }
  | { readonly do: 'refuse'; readonly code: ErrorName; readonly to: MessageId }
  | { readonly do: 'look_up'; readonly deviceId: DeviceId }
  | { readonly do: 'register'; readonly request: NorcCBody<'device_register'> }
  /** The device is proven: start to push to it. */
  | { readonly do: 'begin'; readonly device: ProvenDevice }
  | {
      readonly do: 'dispatch';
      readonly device: ProvenDevice;
      readonly request: MessageId;
      readonly message: ReceivedMessage<NorcCMessage>;
    }
  /** After everything before it was sent. */
  | { readonly do: 'close'; readonly code: ErrorName };

export interface SessionStep {
  readonly session: ServerSession;
  readonly effects: readonly SessionEffect[];
}

export interface SessionStart {
  readonly transcriptHash: Uint8Array;
  /** 32 fresh random bytes. */
  readonly challenge: Uint8Array;
  readonly now: Instant;
  /** When the connection was accepted: the time for everything until the proof counts from there. */
  readonly acceptedAt: Instant;
}

/** The server speaks first after the hello: a challenge, and its time. */
export function startServerSession({ transcriptHash, challenge, now, acceptedAt }: SessionStart): SessionStep {
  const deadline = instant(acceptedAt + LIMITS.handshakeMillisecondsMax);
  return {
    session: { state: 'awaiting_device', transcriptHash, challenge, deadline },
    effects: [{ do: 'send', message: { type: 'auth_request', body: { challenge, server_time: now } } }],
  };
}

/** What to do with a frame of this type before its body is decoded: go on, answer with an error, or end the session. */
export type Admission =
  | { readonly verdict: 'decode' }
  | { readonly verdict: 'refuse'; readonly code: ErrorName }
  | { readonly verdict: 'end'; readonly code: ErrorName };

export function admit(session: ServerSession, type: number): Admission {
  if (session.state === 'closing') return { verdict: 'end', code: session.code };
  const admitted = admitFromDevice(session.state === 'authenticated', type);
  if (admitted.ok) return { verdict: 'decode' };
  const { code } = admitted.error;
  return { verdict: code === 'unsupported_type' ? 'refuse' : 'end', code };
}

/** A decoded message of the device. `now` is the server's time. */
export function received(
  crypto: Crypto,
  session: ServerSession,
  request: MessageId,
  message: ReceivedMessage<NorcCMessage>,
  now: Instant,
): SessionStep {
  if (session.state === 'closing') return stay(session);
  if (message.type === 'ping') return stay(session, { do: 'send', message: { type: 'pong', body: {} }, to: request });
  if (message.type === 'pong' || message.type === 'error') return stay(session);
  if (session.state === 'authenticated') return dispatched(session, request, message);
  if (session.state !== 'awaiting_device') return ended('unexpected_message', request);
  if (message.type === 'auth_response') return proofGiven(session, request, message.body, now);
  if (message.type === 'device_register') return registrationAsked(crypto, session, request, message.body, now);
  return ended('auth_required', request);
}

function dispatched(session: Authenticated, request: MessageId, message: ReceivedMessage<NorcCMessage>): SessionStep {
  if (message.type === 'auth_response' || message.type === 'device_register')
    return ended('unexpected_message', request);
  return stay(session, { do: 'dispatch', device: session.device, request, message });
}

/** [C-11] A proof is for this challenge and for now. */
function proofGiven(
  session: AwaitingDevice,
  request: MessageId,
  proof: NorcCBody<'auth_response'>,
  now: Instant,
): SessionStep {
  if (isSkewed(proof.timestamp, now)) return ended('clock_skew', request);
  return {
    session: { ...session, state: 'awaiting_directory', request, proof },
    effects: [{ do: 'look_up', deviceId: proof.device_id }],
  };
}

/** A point of the curve, to spend a verification on; what it says is thrown away. */
const DECOY_KEY = Uint8Array.from([0x58, ...new Array<number>(31).fill(0x66)]);

/**
 * The directory's answer. [C-12] Unknown, revoked and wrongly signed are one answer
 * and cost the same: for a device that is not there a signature is verified all the
 * same, so that time does not tell which ids exist.
 */
export function deviceFound(
  crypto: Crypto,
  session: ServerSession,
  known: KnownDevice | undefined,
  now: Instant,
): SessionStep {
  if (session.state !== 'awaiting_directory') return stay(session);
  const { transcriptHash, challenge, request, proof } = session;
  const input = deviceProofInput(transcriptHash, challenge, instant(proof.timestamp));
  const valid = crypto.ed25519.verify(known?.publicKey ?? DECOY_KEY, input, proof.signature);
  if (!valid || known?.deviceId !== proof.device_id) return ended('auth_failed', request);
  const { deviceId, user, keyStock } = known;
  const device = { deviceId, user } as ProvenDevice; // the signature over this session's challenge was verified
  const body = { user, device_id: deviceId, server_time: now, key_stock: keyStock };
  return stay(
    { state: 'authenticated', device },
    { do: 'send', message: { type: 'auth_result', body }, to: request },
    { do: 'begin', device },
  );
}

/** [C-13] The new key's signature comes before the code: without a key to enrol, a code cannot even be tried. */
function registrationAsked(
  crypto: Crypto,
  session: AwaitingDevice,
  to: MessageId,
  request: NorcCBody<'device_register'>,
  now: Instant,
): SessionStep {
  if (isSkewed(request.timestamp, now)) return ended('clock_skew', to);
  const { transcriptHash, challenge, deadline } = session;
  const input = registrationProofInput(transcriptHash, challenge, instant(request.timestamp));
  if (!crypto.ed25519.isPublicKey(request.public_key)) return ended('signature_invalid', to);
  if (!crypto.ed25519.verify(request.public_key, input, request.signature)) return ended('signature_invalid', to);
  return stay({ state: 'awaiting_registration', transcriptHash, deadline, request: to }, { do: 'register', request });
}

/** The directory spent the code, or did not. Then the device proves itself like any other, to a challenge of its own. */
export function registrationDone(
  session: ServerSession,
  outcome: Result<NorcCBody<'device_registered'>>,
  freshChallenge: Uint8Array,
  now: Instant,
): SessionStep {
  if (session.state !== 'awaiting_registration') return stay(session);
  const { transcriptHash, deadline, request } = session;
  if (!outcome.ok) return ended(outcome.error.code, request);
  const body = { challenge: freshChallenge, server_time: now };
  return stay(
    { state: 'awaiting_device', transcriptHash, deadline, challenge: freshChallenge },
    { do: 'send', message: { type: 'device_registered', body: outcome.value }, to: request },
    { do: 'send', message: { type: 'auth_request', body } },
  );
}

/** [C-14] Who says nothing is sent away. Call it at the session's deadline. */
export function deadlinePassed(session: ServerSession, now: Instant): SessionStep {
  if (session.state === 'authenticated' || session.state === 'closing' || now < session.deadline) return stay(session);
  return ended('auth_required');
}

/** Ends a session: on a verdict of `admit`, when the device was revoked, when the server drains. `to`: the request at fault. */
export function ended(code: ErrorName, to?: MessageId): SessionStep {
  const refusal: readonly SessionEffect[] = to === undefined ? [] : [{ do: 'refuse', code, to }];
  return stay({ state: 'closing', code }, ...refusal, { do: 'close', code });
}

function isSkewed(timestamp: number, now: Instant): boolean {
  return Math.abs(timestamp - now) > LIMITS.authSkewMillisecondsMax;
}

function stay(session: ServerSession, ...effects: readonly SessionEffect[]): SessionStep {
  return { session, effects };
}
