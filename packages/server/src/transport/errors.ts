import type { LinkCloseCause } from './port.ts';

export type ListenFault = 'in_use' | 'not_permitted' | 'no_such_address' | 'other';

const LISTEN_ADVICE: Readonly<Record<ListenFault, string>> = {
  in_use: 'another program already listens there: stop it, or choose another port',
  not_permitted: 'this user may not listen there: choose a port above 1023, or allow the program to bind low ports',
  no_such_address: 'this machine has no such address: choose one of its own, or 0.0.0.0 for all of them',
  other: 'the operating system refused; see the cause',
};

/** The operator asked for an address that cannot be had. The message says what to do. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly fault: ListenFault;
  readonly host: string;
  readonly port: number;

  constructor(host: string, port: number, cause: unknown) {
    const fault = listenFault(cause);
    super(`cannot listen on ${formatHostPort(host, port)}: ${LISTEN_ADVICE[fault]}`, { cause });
    this.fault = fault;
    this.host = host;
    this.port = port;
  }
}

function listenFault(cause: unknown): ListenFault {
  switch (errorCode(cause)) {
    case 'EADDRINUSE':
      return 'in_use';
    case 'EACCES':
    case 'EPERM':
      return 'not_permitted';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no_such_address';
    default:
      return 'other';
  }
}

/** A link could not be opened. `closeCause` is the same word that `LinkHandler.closed` gets for a link that broke. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
  readonly closeCause: LinkCloseCause;
  readonly retryable: boolean;

  constructor(closeCause: LinkCloseCause, message: string, options?: ErrorOptions) {
    super(message, options);
    this.closeCause = closeCause;
    this.retryable = closeCause !== 'tls' && closeCause !== 'protocol';
  }
}

/** The name service did not answer. Different from an answer that says "no such name". */
export class ResolverError extends Error {
  override readonly name = 'ResolverError';
  readonly retryable = true;
}

/** A key file that cannot be used as it is; the message names the file and the remedy, never its content. */
export class TlsIdentityError extends Error {
  override readonly name = 'TlsIdentityError';
}

/** `code` of a system error, `undefined` for anything else. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
