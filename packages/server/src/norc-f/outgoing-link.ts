import { type Domain, decodeUtf8, LIMITS, type MessageId, ok, type Result, reject, utf8 } from '@norc/protocol/base';
import type { KeyClass } from '@norc/protocol/crypto';
import {
  federationClientProofInput,
  federationHelloExtra,
  type InitiatorOutcome,
  NORC_F_HELLO,
  startHello,
} from '@norc/protocol/handshake';
import { admitReply, type NorcFMessage, type NorcFType, type Priority } from '@norc/protocol/norc-f';
import type { ReceivedMessage } from '@norc/protocol/wire';
import { errorName } from '../delivery/submit-item.ts';
import { LinkError } from '../transport/errors.ts';
import type {
  LinkCloseCause,
  LinkConnection,
  LinkEndpoint,
  LinkHandler,
  LinkStream,
  LinkTransport,
} from '../transport/port.ts';
import type { Timers } from '../transport/timers.ts';
import { LinkChannel } from './link-channel.ts';
import {
  checkPeer,
  LINK_CAPABILITIES,
  LINK_SUITES,
  type LinkIdentity,
  ownFields,
  type PeerEvidence,
} from './link-identity.ts';
import type { LinkTrust } from './link-trust.ts';

const REQUEST_TIMEOUT_MS = 30_000;
const HELLO_TIMEOUT_MS = LIMITS.handshakeMillisecondsMax;

export interface OutgoingDependencies {
  readonly identity: LinkIdentity;
  readonly trust: LinkTrust;
  readonly transport: LinkTransport;
  readonly timers: Timers;
  readonly onClosed: (link: OutgoingLink, cause: LinkCloseCause) => void;
  /** The newest major version that this peer was seen to speak; a lower one is refused. */
  readonly newestMajorSeen: (peer: Domain) => number | undefined;
  readonly rememberMajor: (peer: Domain, major: number) => void;
}

type Answer = Result<ReceivedMessage<NorcFMessage>>;

interface Waiting {
  readonly type: NorcFType;
  readonly settle: (answer: Answer) => void;
  readonly cancel: () => void;
}

/** A link that we dialed and that is ready for requests. */
export class OutgoingLink implements LinkHandler {
  readonly peer: PeerEvidence;
  readonly version: string;
  readonly #connection: LinkConnection;
  readonly #channels: Readonly<Record<Priority, LinkChannel>>;
  readonly #timers: Timers;
  readonly #waiting = new Map<MessageId, Waiting>();
  readonly #closedBy: (link: OutgoingLink, cause: LinkCloseCause) => void;
  #open = true;
  /** We end it: nothing new goes out, while answers may still come. */
  #ending = false;

  constructor(
    connection: LinkConnection,
    outcome: InitiatorOutcome<KeyClass, PeerEvidence>,
    dependencies: OutgoingDependencies,
  ) {
    const { clock, random } = dependencies.identity;
    const channel = (priority: Priority) =>
      new LinkChannel(connection.streams[priority], outcome.channels[priority], clock, random);
    this.#connection = connection;
    this.#channels = { control: channel('control'), interactive: channel('interactive'), bulk: channel('bulk') };
    this.#timers = dependencies.timers;
    this.#closedBy = dependencies.onClosed;
    this.peer = outcome.responder;
    this.version = `${outcome.version.major}.${outcome.version.minor}`;
  }

  get isOpen(): boolean {
    return this.#open && !this.#ending;
  }

  /** One request and its answer. A closed link, a late answer and an error frame are results. */
  request(priority: Priority, message: NorcFMessage & { readonly type: NorcFType }): Promise<Answer> {
    if (!this.isOpen) return Promise.resolve(reject('no_route', 'link closed'));
    return new Promise((settle) => {
      const id = this.#channels[priority].request(message);
      const cancel = this.#timers.after(REQUEST_TIMEOUT_MS, () =>
        this.#settle(id, reject('no_route', 'no answer in time')),
      );
      this.#waiting.set(id, { type: message.type, settle, cancel });
    });
  }

  send(priority: Priority, message: NorcFMessage): void {
    if (this.isOpen) this.#channels[priority].request(message);
  }

  /** Called now and then: a quiet link changes its keys too. */
  tick(): void {
    if (this.#open) for (const channel of Object.values(this.#channels)) channel.rekeyIfDue();
  }

  prove(signature: Uint8Array): Promise<Answer> {
    return this.request('control', { type: 'federation_auth', body: { signature } });
  }

  get toProve(): Uint8Array {
    return federationClientProofInput(this.#channels.control.transcriptHash);
  }

  frame(stream: LinkStream, bytes: Uint8Array): void {
    const channel = this.#channels[stream.priority];
    const opened = channel.open(bytes);
    if (!opened.ok) return this.close();
    const frame = opened.value;
    if (frame === undefined) return;
    const waiting = this.#waiting.get(frame.messageId);
    if (waiting === undefined) return; // an answer that came too late
    const admitted = admitReply(waiting.type, frame.type);
    if (!admitted.ok) return this.#settle(frame.messageId, admitted);
    const answer = channel.decode(frame);
    if (answer.ok && answer.value.type === 'error') {
      return this.#settle(
        frame.messageId,
        reject(errorName(answer.value.body.code), `answer of ${this.peer.domain}: ${answer.value.body.reference}`),
      );
    }
    this.#settle(frame.messageId, answer);
  }

  #settle(id: MessageId, answer: Answer): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.cancel();
    waiting.settle(answer);
  }

  closed(cause: LinkCloseCause): void {
    if (!this.#open) return;
    this.#open = false;
    for (const channel of Object.values(this.#channels)) channel.close();
    for (const id of [...this.#waiting.keys()]) this.#settle(id, reject('no_route', 'link closed'));
    this.#closedBy(this, cause);
  }

  close(): void {
    this.#ending = true;
    this.#connection.close();
  }

  /** Ends it at once: what waits is not sent, except on the control stream. */
  cut(): void {
    this.#ending = true;
    this.#connection.close('control-only');
  }
}

/** Why a link did not come up: for the breaker, users and operators. */
export interface DialFailure {
  readonly cause: LinkCloseCause | 'version' | 'identity';
  readonly detail: string;
}

/** Dials, exchanges hellos and proves our key. Rejects nothing: a failure is a value. */
export async function dialLink(
  dependencies: OutgoingDependencies,
  peer: Domain,
  endpoint: LinkEndpoint,
): Promise<Result<OutgoingLink, DialFailure>> {
  const { identity, trust, transport } = dependencies;
  const pins = trust.pins(peer)?.spkiHashes ?? 'any';
  const fields = ownFields(identity, trust, peer);
  const hello = startHello(
    {
      role: NORC_F_HELLO,
      versions: identity.versions,
      suites: LINK_SUITES,
      capabilities: LINK_CAPABILITIES,
      extra: federationHelloExtra(fields, identity.certificate),
    },
    identity,
  );
  const opening = new OpeningLink(dependencies);
  try {
    const connection = await transport.dial(endpoint, peer, pins, (open) => opening.start(open));
    connection.streams.control.send(utf8(hello.text));
    const text = await opening.answer();
    if (text === undefined) return fail('protocol', 'the link closed during the hello');
    const seen = dependencies.newestMajorSeen(peer);
    const outcome = hello.state.receive(text, {
      verifyCertificate: (_, answer) => checkPeer(identity, trust, answer, peer, connection.peerSpkiHash),
      memory: { newestMajorSeen: seen, allowOlder: false },
      now: identity.clock.now(),
    });
    if (!outcome.ok) {
      connection.close();
      const version =
        outcome.error.code === 'version_span' ||
        outcome.error.code === 'no_compatible_version' ||
        outcome.error.code === 'downgrade_refused';
      return fail(version ? 'version' : 'identity', `${outcome.error.code}: ${outcome.error.detail}`);
    }
    // Whoever answers for a domain that is not pinned could otherwise make us refuse the true one [HS-11].
    if (outcome.value.responder.trusted) dependencies.rememberMajor(peer, outcome.value.newestMajorSeen);
    return await proveLink(dependencies, opening, new OutgoingLink(connection, outcome.value, dependencies));
  } catch (error) {
    if (error instanceof LinkError) return fail(error.closeCause, error.message);
    throw error;
  } finally {
    hello.state.abandon();
  }
}

async function proveLink(
  { identity }: OutgoingDependencies,
  opening: OpeningLink,
  link: OutgoingLink,
): Promise<Result<OutgoingLink, DialFailure>> {
  opening.handOver(link);
  const ready = await link.prove(await identity.signer.sign(link.toProve));
  if (ready.ok) return ok(link);
  link.close();
  return fail('refused', ready.error.detail);
}

function fail(cause: DialFailure['cause'], detail: string): Result<never, DialFailure> {
  return { ok: false, error: { cause, detail } };
}

/** Receives on a link until the hello's answer is there, then passes everything on. */
class OpeningLink {
  readonly #timers: Timers;
  #link: OutgoingLink | undefined;
  #first: ((text: string | undefined) => void) | undefined;
  readonly #answer: Promise<string | undefined>;
  #cancel: () => void = () => undefined;

  constructor({ timers }: OutgoingDependencies) {
    this.#timers = timers;
    this.#answer = new Promise((resolve) => {
      this.#first = resolve;
    });
  }

  start(connection: LinkConnection): LinkHandler {
    this.#cancel = this.#timers.after(HELLO_TIMEOUT_MS, () => connection.close());
    return {
      frame: (stream, bytes) => {
        if (this.#link !== undefined) return this.#link.frame(stream, bytes);
        this.#settle(bytes.length > LIMITS.helloBytesMax ? undefined : decodeUtf8(bytes, 0, bytes.length));
      },
      closed: (cause) => {
        this.#settle(undefined);
        this.#link?.closed(cause);
      },
    };
  }

  answer(): Promise<string | undefined> {
    return this.#answer;
  }

  handOver(link: OutgoingLink): void {
    this.#link = link;
  }

  #settle(text: string | undefined): void {
    this.#cancel();
    this.#first?.(text);
    this.#first = undefined;
  }
}
