import { type Domain, decodeUtf8, LIMITS, type Result, utf8 } from '@norc/protocol/base';
import type { KeyClass } from '@norc/protocol/crypto';
import {
  answerHello,
  federationAnswerExtra,
  federationClientProofInput,
  NORC_F_HELLO,
  type ResponderOutcome,
  readHello,
} from '@norc/protocol/handshake';
import { admitRequest, type NorcFMessage, type Priority } from '@norc/protocol/norc-f';
import type { ReceivedMessage } from '@norc/protocol/wire';
import type { LinkConnection, LinkHandler, LinkStream } from '../transport/port.ts';
import type { Timers } from '../transport/timers.ts';
import { LinkChannel, type LinkFrame } from './link-channel.ts';
import {
  checkPeer,
  LINK_CAPABILITIES,
  LINK_SUITES,
  type LinkIdentity,
  ownFields,
  type PeerEvidence,
} from './link-identity.ts';
import type { LinkTrust } from './link-trust.ts';

/** Requests of one link that are being answered. A peer that sends more without reading answers is cut off. */
const PENDING_MAX = 512;

export interface IncomingDependencies {
  readonly identity: LinkIdentity;
  readonly trust: LinkTrust;
  /** Answers one request; `undefined` where the protocol has no answer. */
  readonly serve: (
    peer: PeerEvidence,
    request: ReceivedMessage<NorcFMessage>,
  ) => Promise<Result<NorcFMessage | undefined>>;
  /** A new reference for an error that is told to a peer; the story goes to the log. */
  readonly refer: (peer: Domain | undefined, code: string, detail: string) => string;
  readonly onAuthenticated: (link: IncomingLink, peer: PeerEvidence) => void;
  readonly onClosed: (link: IncomingLink) => void;
  readonly onFault: (error: unknown) => void;
  readonly timers: Timers;
}

type Phase =
  | { readonly name: 'awaiting_hello' }
  | { readonly name: 'answering' }
  | { readonly name: 'awaiting_auth'; readonly peer: PeerEvidence }
  | { readonly name: 'open'; readonly peer: PeerEvidence }
  | { readonly name: 'closed' };

/** A link that another server dialed: hello, proof of its key, then its requests (spec/norc-f section 6). */
export class IncomingLink implements LinkHandler {
  readonly #d: IncomingDependencies;
  readonly #connection: LinkConnection;
  #phase: Phase = { name: 'awaiting_hello' };
  #channels: Readonly<Record<Priority, LinkChannel>> | undefined;
  #pending = 0;
  readonly #cancelDeadline: () => void;

  constructor(dependencies: IncomingDependencies, connection: LinkConnection) {
    this.#d = dependencies;
    this.#connection = connection;
    this.#cancelDeadline = dependencies.timers.after(LIMITS.handshakeMillisecondsMax, () => {
      if (this.#phase.name !== 'open') this.#abort(undefined, 'auth_required', 'no proof in time');
    });
  }

  get authenticated(): boolean {
    return this.#phase.name === 'open';
  }

  get peer(): PeerEvidence | undefined {
    return this.#phase.name === 'open' ? this.#phase.peer : undefined;
  }

  /** Whom it says it is: what was thought of trust when its hello came counts for as long as it lasts. */
  isFrom(domain: Domain): boolean {
    const { name } = this.#phase;
    return (name === 'open' || name === 'awaiting_auth') && this.#phase.peer.domain === domain;
  }

  frame(stream: LinkStream, bytes: Uint8Array): void {
    switch (this.#phase.name) {
      case 'awaiting_hello':
        if (stream.priority !== 'control')
          return this.#abort(undefined, 'unexpected_message', 'frame before the hello');
        this.#phase = { name: 'answering' };
        void this.#answer(bytes).catch((error) => this.#fault(error));
        return;
      case 'awaiting_auth':
      case 'open':
        return this.#receive(stream, bytes);
      case 'answering':
        return this.#abort(undefined, 'unexpected_message', 'frame during the hello');
      case 'closed':
        return;
    }
  }

  closed(): void {
    this.#cancelDeadline();
    this.#phase = { name: 'closed' };
    for (const channel of Object.values(this.#channels ?? {})) channel.close();
    this.#d.onClosed(this);
  }

  /** Ends it at once: nothing that waits is sent, except on the control stream. */
  cut(): void {
    this.#phase = { name: 'closed' };
    this.#connection.close('control-only');
  }

  async #answer(bytes: Uint8Array): Promise<void> {
    const { identity, trust } = this.#d;
    const text = bytes.length > LIMITS.helloBytesMax ? undefined : decodeUtf8(bytes, 0, bytes.length);
    if (text === undefined) return this.#abort(undefined, 'malformed', 'hello');
    const hello = readHello(text, NORC_F_HELLO);
    if (!hello.ok) return this.#abort(undefined, hello.error.code, hello.error.detail);
    const peer = checkPeer(identity, trust, hello.value.json, undefined, this.#connection.peerSpkiHash);
    if (!peer.ok) return this.#abort(undefined, peer.error.code, peer.error.detail);
    const config = {
      role: NORC_F_HELLO,
      versions: identity.versions,
      suites: LINK_SUITES,
      capabilities: LINK_CAPABILITIES,
      certificate: identity.certificate,
      extra: federationAnswerExtra(ownFields(identity, trust, peer.value.domain)),
    };
    const answer = answerHello(hello.value, config, identity);
    if (!answer.ok) return this.#abort(peer.value.domain, answer.error.code, answer.error.detail);
    const signature = await identity.signer.sign(answer.value.toSign);
    if (this.#phase.name === 'closed') return answer.value.abandon();
    this.#open(answer.value.complete(signature, identity.clock.now()), peer.value);
  }

  #open(outcome: ResponderOutcome<KeyClass>, peer: PeerEvidence): void {
    const { streams } = this.#connection;
    const { clock, random } = this.#d.identity;
    const channel = (priority: Priority) =>
      new LinkChannel(streams[priority], outcome.channels[priority], clock, random);
    this.#channels = { control: channel('control'), interactive: channel('interactive'), bulk: channel('bulk') };
    this.#phase = { name: 'awaiting_auth', peer };
    streams.control.send(utf8(outcome.text));
  }

  #receive(stream: LinkStream, bytes: Uint8Array): void {
    const channel = this.#channels?.[stream.priority];
    if (channel === undefined) return;
    const opened = channel.open(bytes);
    if (!opened.ok) return this.#abort(this.peer?.domain, opened.error.code, opened.error.detail);
    if (opened.value === undefined) return;
    const phase = this.#phase;
    if (phase.name !== 'open' && phase.name !== 'awaiting_auth') return;
    const trusted = phase.peer.trusted && this.#d.trust.pins(phase.peer.domain) !== undefined;
    const admitted = admitRequest(
      { authenticated: phase.name === 'open', trusted },
      stream.priority,
      opened.value.type,
    );
    if (!admitted.ok) {
      channel.refuse(
        opened.value.messageId,
        admitted.error.code,
        this.#d.refer(phase.peer.domain, admitted.error.code, admitted.error.detail),
      );
      if (phase.name === 'awaiting_auth') this.#connection.close();
      return;
    }
    const request = channel.decode(opened.value);
    if (!request.ok) {
      channel.refuse(
        opened.value.messageId,
        request.error.code,
        this.#d.refer(phase.peer.domain, request.error.code, request.error.detail),
      );
      return;
    }
    if (phase.name === 'awaiting_auth') return this.#authenticate(phase.peer, channel, opened.value, request.value);
    void this.#serve(phase.peer, channel, opened.value, request.value);
  }

  /** The dialer proves the server key that its hello named, in this very channel. */
  #authenticate(
    peer: PeerEvidence,
    channel: LinkChannel,
    frame: LinkFrame,
    request: ReceivedMessage<NorcFMessage>,
  ): void {
    if (request.type !== 'federation_auth') return this.#abort(peer.domain, 'unexpected_message', request.type);
    const { crypto, clock } = this.#d.identity;
    const signed = federationClientProofInput(channel.transcriptHash);
    if (!crypto.ed25519.verify(peer.publicKey, signed, request.body.signature)) {
      return this.#abort(peer.domain, 'auth_failed', 'federation_auth');
    }
    this.#cancelDeadline();
    this.#phase = { name: 'open', peer };
    channel.reply(frame.messageId, { type: 'federation_ready', body: { server_time: clock.now() } });
    this.#d.onAuthenticated(this, peer);
  }

  async #serve(
    peer: PeerEvidence,
    channel: LinkChannel,
    frame: LinkFrame,
    request: ReceivedMessage<NorcFMessage>,
  ): Promise<void> {
    this.#pending += 1;
    if (this.#pending > PENDING_MAX) return this.#abort(peer.domain, 'queue_full', 'requests');
    try {
      if (request.type === 'ping') return channel.reply(frame.messageId, { type: 'pong', body: {} });
      const answer = await this.#d.serve(peer, request);
      if (this.#phase.name !== 'open') return;
      if (!answer.ok)
        channel.refuse(
          frame.messageId,
          answer.error.code,
          this.#d.refer(peer.domain, answer.error.code, answer.error.detail),
        );
      else if (answer.value !== undefined) channel.reply(frame.messageId, answer.value);
    } catch (error) {
      this.#fault(error);
    } finally {
      this.#pending -= 1;
    }
  }

  #fault(error: unknown): void {
    this.#d.onFault(error);
    this.#connection.close();
  }

  /** What a stranger did wrong is for our log; it only sees the link close. */
  #abort(peer: Domain | undefined, code: string, detail: string): void {
    this.#d.refer(peer, code, detail);
    this.#connection.close();
  }
}
