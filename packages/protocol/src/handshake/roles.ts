import { KEY_CLASSES, type KeyClass, type ProofLabel, type TranscriptLabel } from '../crypto/index.ts';

/**
 * What differs between the hello of a device session (NORC-C) and of a link between
 * servers (NORC-F): names and labels. The exchange is the same code (spec/handshake section 4).
 */
export interface HelloRole<K extends KeyClass = KeyClass> {
  readonly transcriptLabel: TranscriptLabel;
  /** Of the responder's signature over the transcript hash. */
  readonly responderProof: ProofLabel;
  readonly hello: HelloNames;
  readonly answer: HelloNames;
  /** Streams that get keys of their own. */
  readonly keyClasses: readonly K[];
}

export interface HelloNames {
  readonly type: string;
  readonly versions: string;
  readonly suites: string;
  readonly capabilities: string;
}

/** Device to server, over a WebSocket. */
export const NORC_C_HELLO: HelloRole<'control'> = {
  transcriptLabel: 'norc-c-handshake-v1',
  responderProof: 'norc-c-server-v1',
  hello: { type: 'client_hello', versions: 'client_versions', suites: 'suites', capabilities: 'capabilities' },
  answer: {
    type: 'server_hello',
    versions: 'server_versions',
    suites: 'server_suites',
    capabilities: 'server_capabilities',
  },
  keyClasses: ['control'],
};

/** Server to server, on a link's control stream. */
export const NORC_F_HELLO: HelloRole<KeyClass> = {
  transcriptLabel: 'norc-f-handshake-v1',
  responderProof: 'norc-f-server-v1',
  hello: { type: 'federation_hello', versions: 'versions', suites: 'suites', capabilities: 'capabilities' },
  answer: {
    type: 'federation_hello_response',
    versions: 'versions',
    suites: 'suites',
    capabilities: 'capabilities',
  },
  keyClasses: KEY_CLASSES,
};
