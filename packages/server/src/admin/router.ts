import { chmod, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ERRORS, type Reject, type Result } from '@norc/protocol/base';

const BODY_BYTES_MAX = 64 * 1024;

/** One operation of the admin interface: a plain object in, a plain object out. */
export interface AdminRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly run: (input: AdminInput) => Promise<Result<object>>;
  /** Where a request may be larger than usual. */
  readonly bodyBytesMax?: number;
}

export interface AdminInput {
  /** A required text field of the body or the query; throws AdminInputError that names it. */
  text(name: string): string;
  optionalText(name: string): string | undefined;
  optionalCount(name: string): number | undefined;
}

/** The caller of the admin interface sent something unusable: the message is for them. */
export class AdminInputError extends Error {
  override readonly name = 'AdminInputError';
}

export interface AdminListener {
  readonly socketPath: string;
  close(): Promise<void>;
}

/**
 * HTTP and JSON on a Unix socket that only the server's own account can open: who
 * may open the socket is an administrator. There is no other way in, and no network port.
 */
export async function listenAdmin(
  socketPath: string,
  routes: readonly AdminRoute[],
  onFault: (error: unknown) => void,
): Promise<AdminListener> {
  const server = createServer((request, response) => {
    void answer(request, response, routes, onFault);
  });
  await unlink(socketPath).catch(() => undefined); // left by a process that was killed; the database lock excludes a live one
  await listening(server, socketPath);
  await chmod(socketPath, 0o600);
  return {
    socketPath,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const mask = process.umask(0o177); // the socket is private from its first moment
    server.listen(socketPath, () => resolve());
    process.umask(mask);
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  routes: readonly AdminRoute[],
  onFault: (error: unknown) => void,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://admin');
    const route = routes.find((one) => one.path === url.pathname && one.method === request.method);
    if (route === undefined)
      return send(response, 404, { error: { name: 'unsupported_type', detail: 'no such operation' } });
    const fields = { ...Object.fromEntries(url.searchParams), ...(await readBody(request, route.bodyBytesMax)) };
    const result = await route.run(inputOf(fields));
    if (result.ok) send(response, 200, result.value);
    else send(response, 422, { error: describe(result.error) });
  } catch (error) {
    if (error instanceof AdminInputError)
      return send(response, 400, { error: { name: 'malformed', detail: error.message } });
    onFault(error);
    send(response, 500, { error: { name: 'internal', detail: 'the server failed; see its log' } });
  }
}

function describe(rejected: Reject): object {
  const { code, retryable, meaning } = ERRORS[rejected.code];
  return { code, name: rejected.code, meaning, retryable, detail: rejected.detail };
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function readBody(request: IncomingMessage, bytesMax = BODY_BYTES_MAX): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = chunk as Buffer; // no encoding is set on the request
    length += bytes.length;
    if (length > bytesMax) throw new AdminInputError('the request is too large');
    chunks.push(bytes);
  }
  if (length === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new AdminInputError('the request is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new AdminInputError('the request is not an object');
  return parsed as Record<string, unknown>; // an object with unchecked values
}

function inputOf(fields: Readonly<Record<string, unknown>>): AdminInput {
  const optionalText = (name: string): string | undefined => {
    const value = fields[name];
    if (value !== undefined && typeof value !== 'string') throw new AdminInputError(`${name} must be text`);
    return value;
  };
  return {
    optionalText,
    text(name) {
      const value = optionalText(name);
      if (value === undefined || value === '') throw new AdminInputError(`${name} is missing`);
      return value;
    },
    optionalCount(name) {
      const value = fields[name];
      if (value === undefined) return undefined;
      const count = Number(value);
      if (!Number.isSafeInteger(count) || count < 0) throw new AdminInputError(`${name} must be a number from 0`);
      return count;
    },
  };
}
