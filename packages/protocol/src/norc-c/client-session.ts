import {
  type DeviceId,
  type ErrorName,
  errorNameOf,
  type Instant,
  idFromBytes,
  instant,
  LIMITS,
  type MessageId,
  type Random,
  type UserAddress,
} from '../base/index.ts';
import { deviceProofInput, registrationProofInput } from '../handshake/index.ts';
import type { ReceivedMessage } from '../wire/index.ts';
import { type ClockOffset, offsetFromChallenge, serverTime } from './clock-offset.ts';
import type { NorcCBody, NorcCMessage } from './messages.ts';

/**
 * The device's side of its session, from the end of the hello until it is ready
 * (spec/norc-c section 2). States are named for what they wait for.
 */
export type ClientSession = AwaitingChallenge | AwaitingRegistered | AwaitingResult | Ready | Ended;

interface Opening {
  readonly transcriptHash: Uint8Array;
  readonly device: OwnDevice;
  readonly deadline: Instant;
}

/** Waits for the server's `auth_request`. `enrolment`: this device is new. */
export interface AwaitingChallenge extends Opening {
  readonly state: 'awaiting_challenge';
  readonly enrolment?: Enrolment;
}

export interface AwaitingRegistered extends Opening {
  readonly state: 'awaiting_registered';
  readonly request: MessageId;
}

export interface AwaitingResult extends Opening {
  readonly state: 'awaiting_result';
  readonly request: MessageId;
  readonly offset: ClockOffset;
}

export interface Ready {
  readonly state: 'ready';
  readonly user: UserAddress;
  readonly offset: ClockOffset;
  /** One-time KeyPackages on the server. */
  readonly keyStock: number;
}

/** `code`: why; from the registry. */
export interface Ended {
  readonly state: 'ended';
  readonly code: ErrorName;
}

/** `sign` is Ed25519 with the device's identity key. */
export interface OwnDevice {
  readonly deviceId: DeviceId;
  readonly publicKey: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export interface Enrolment {
  readonly user: UserAddress;
  /** The one-time code's 16 secret bytes. */
  readonly code: Uint8Array;
  readonly deviceName: string;
}

export type ClientEffect =
  | { readonly do: 'send'; readonly id: MessageId; readonly message: NorcCMessage }
  /** To be stored before anything else: the code is spent. */
  | { readonly do: 'enrolled'; readonly registered: NorcCBody<'device_registered'> }
  | { readonly do: 'ready'; readonly session: Ready }
  | { readonly do: 'close'; readonly code: ErrorName };

export interface ClientStep {
  readonly session: ClientSession;
  readonly effects: readonly ClientEffect[];
}

export interface ClientStart {
  readonly transcriptHash: Uint8Array;
  readonly device: OwnDevice;
  readonly enrolment?: Enrolment;
  readonly now: Instant;
}

export function startClientSession({ transcriptHash, device, enrolment, now }: ClientStart): AwaitingChallenge {
  const deadline = instant(now + LIMITS.handshakeMillisecondsMax);
  const opening = { state: 'awaiting_challenge', transcriptHash, device, deadline } as const;
  return enrolment === undefined ? opening : { ...opening, enrolment };
}

/** What a received message carries besides its body. */
export interface ClientArrival {
  /** Of the frame: for a reply, that of the request. */
  readonly id: MessageId;
  readonly message: ReceivedMessage<NorcCMessage>;
  readonly now: Instant;
}

/**
 * A message of the server before the session is ready; afterwards requests and
 * pushes are sorted by `OpenRequests`. Anything but what is waited for ends the
 * session with `unexpected_message`, an error with its own code.
 */
export function clientReceived(session: ClientSession, arrival: ClientArrival, random: Random): ClientStep {
  if (session.state === 'ready' || session.state === 'ended') throw new RangeError(`the session is ${session.state}`);
  const { message } = arrival;
  if (message.type === 'ping') return pong(session, arrival);
  if (message.type === 'error') return clientEnded(errorNameOf(message.body.code) ?? 'internal');
  if (session.state === 'awaiting_challenge') {
    return message.type === 'auth_request' ? challenged(session, message.body, arrival.now, random) : unexpected();
  }
  if (arrival.id !== session.request) return unexpected();
  if (session.state === 'awaiting_registered') {
    return message.type === 'device_registered' ? registered(session, message.body) : unexpected();
  }
  return message.type === 'auth_result' ? admitted(session, message.body) : unexpected();
}

/** [C-10] The timestamp is the server's own time, so a device whose clock is wrong gets in all the same. */
function challenged(
  session: AwaitingChallenge,
  { challenge, server_time }: NorcCBody<'auth_request'>,
  now: Instant,
  random: Random,
): ClientStep {
  const { transcriptHash, device, deadline, enrolment } = session;
  const offset = offsetFromChallenge(server_time, now);
  const timestamp = serverTime(offset, now);
  const id = idFromBytes<MessageId>(random.bytes(16));
  const opening = { transcriptHash, device, deadline, request: id };
  if (enrolment === undefined) {
    const signature = device.sign(deviceProofInput(transcriptHash, challenge, timestamp));
    const body = { device_id: device.deviceId, timestamp, signature };
    return step(
      { state: 'awaiting_result', ...opening, offset },
      { do: 'send', id, message: { type: 'auth_response', body } },
    );
  }
  const signature = device.sign(registrationProofInput(transcriptHash, challenge, timestamp));
  const { user, code, deviceName: name } = enrolment;
  const proof = { public_key: device.publicKey, timestamp, signature };
  const body = { user, code, device_id: device.deviceId, name, ...proof };
  return step(
    { state: 'awaiting_registered', ...opening },
    { do: 'send', id, message: { type: 'device_register', body } },
  );
}

/** Enrolled: from here on a device like any other, which the server challenges anew. */
function registered(
  { transcriptHash, device, deadline }: AwaitingRegistered,
  body: NorcCBody<'device_registered'>,
): ClientStep {
  return step({ state: 'awaiting_challenge', transcriptHash, device, deadline }, { do: 'enrolled', registered: body });
}

function admitted(session: AwaitingResult, body: NorcCBody<'auth_result'>): ClientStep {
  if (body.device_id !== session.device.deviceId) return unexpected();
  const ready: Ready = { state: 'ready', user: body.user, offset: session.offset, keyStock: body.key_stock };
  return step(ready, { do: 'ready', session: ready });
}

/** Call it at the deadline: a server that does not answer is left. */
export function clientDeadlinePassed(session: ClientSession, now: Instant): ClientStep {
  if (session.state === 'ready' || session.state === 'ended' || now < session.deadline) return step(session);
  return clientEnded('no_route');
}

function pong(session: ClientSession, { id }: ClientArrival): ClientStep {
  return step(session, { do: 'send', id, message: { type: 'pong', body: {} } });
}

function unexpected(): ClientStep {
  return clientEnded('unexpected_message');
}

function clientEnded(code: ErrorName): ClientStep {
  return step({ state: 'ended', code }, { do: 'close', code });
}

function step(session: ClientSession, ...effects: readonly ClientEffect[]): ClientStep {
  return { session, effects };
}
