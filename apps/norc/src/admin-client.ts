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

/** Every answer comes at once, apart from those for which the other organisation is asked. */
const ANSWER_MS_MAX = 30_000;

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
    if (status >= 500) {
      throw new CommandError(
        EXIT.failure,
        'The server failed while doing this.',
        'Its log has the story; norc doctor looks around.',
      );
    }
    throw new AdminRefusal(name, sentenceOf(meaning, detail));
  }

  #send(method: string, path: string, body: string | undefined): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.#socketPath, method, path, timeout: ANSWER_MS_MAX };
      const outgoing = request(options, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      });
      outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  #explain(cause: unknown): CommandError {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown fault';
    switch (code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return new CommandError(
          EXIT.unavailable,
          `No server is running on this data folder (${this.#socketPath}).`,
          'Start it with: norc server. Or name another folder with --data.',
        );
      case 'EACCES':
      case 'EPERM':
        return new CommandError(
          EXIT.noPermission,
          `The admin socket ${this.#socketPath} belongs to another account.`,
          "Run this as the server's account.",
        );
      case 'ETIMEDOUT':
        return new CommandError(EXIT.timeout, 'The server does not answer.', 'norc doctor');
      default:
        return new CommandError(EXIT.failure, `The server could not be asked: ${code}.`, 'norc doctor');
    }
  }
}

/** The registry's meaning, and what this refusal was about. */
function sentenceOf(meaning: string | undefined, detail: string | undefined): string {
  const about = detail === undefined || detail === '' ? undefined : detail;
  if (meaning === undefined) return about === undefined ? 'The server refused.' : capital(`${about}.`);
  return about === undefined ? meaning : `${meaning} (${about})`;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
