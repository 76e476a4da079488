import { request } from 'node:http';
import { CommandError, EXIT } from './command.ts';

/** What the server answered to an admin request that it refused. */
export class AdminRefusal extends Error {
  override readonly name = 'AdminRefusal';
  /** Registry name of the error. */
  readonly code: string;
  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}

type Fields = Readonly<Record<string, string | number>>;

/** Talks to a running server through its admin socket (docs/operating.md). */
export class AdminClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  get<T>(path: string, query: Fields = {}): Promise<T> {
    const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
    return this.#exchange<T>('GET', text === '' ? path : `${path}?${text}`, undefined);
  }

  post<T>(path: string, body: Fields): Promise<T> {
    return this.#exchange<T>('POST', path, JSON.stringify(body));
  }

  async #exchange<T>(method: string, path: string, body: string | undefined): Promise<T> {
    const { status, text } = await this.#send(method, path, body).catch((cause: unknown) => {
      throw this.#explain(cause);
    });
    const parsed = JSON.parse(text) as { error?: { name: string; meaning?: string; detail?: string } }; // written by our own server
    if (parsed.error === undefined) return parsed as T; // the shape is the admin interface's
    const { name, meaning, detail } = parsed.error;
    if (status === 500) throw new CommandError(EXIT.failure, 'The server failed while doing this.', 'Look into its log; nothing was half done.');
    throw new AdminRefusal(name, [meaning, detail].filter((part) => part !== undefined && part !== '').join(' '));
  }

  #send(method: string, path: string, body: string | undefined): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath: this.#socketPath, method, path }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  #explain(cause: unknown): CommandError {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      return new CommandError(
        EXIT.unavailable,
        `No server is running on this data folder (${this.#socketPath}).`,
        'Start it with: norc server. Or name another folder with --data.',
      );
    }
    if (code === 'EACCES') {
      return new CommandError(EXIT.noPermission, 'The admin socket belongs to another account.', "Run this as the server's account.");
    }
    return new CommandError(EXIT.failure, `The server could not be asked: ${code ?? 'unknown fault'}.`, 'See: norc doctor');
  }
}
