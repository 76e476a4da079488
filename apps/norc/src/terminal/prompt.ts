import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { CommandError, EXIT } from '../command.ts';
import { cleanLine } from './clean.ts';
import { type InputEvent, KeyParser } from './keys.ts';

/** Where questions are asked: always stderr, since stdout is data. */
export interface Asking {
  readonly input: Readable & { readonly isTTY?: boolean; setRawMode?(on: boolean): unknown };
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown };
}

export const askingOnTerminal: Asking = { input: process.stdin, output: process.stderr };

/** A short or guessable passphrase is the weakest part of a sealed profile. */
export const PASSPHRASE_LENGTH_MIN = 10;
const PASSPHRASE_FILE_BYTES_MAX = 4096;
const SECRET_LENGTH_MAX = 1024;

/** `instead`: the flag that answers without a terminal, named when there is none. */
export async function askLine(asking: Asking, question: string, instead: string): Promise<string> {
  requireTerminal(asking, instead);
  asking.output.write(`${cleanLine(question)} `);
  const lines = createInterface({ input: asking.input, terminal: false });
  try {
    for await (const line of lines) return line.trim();
    throw interrupted();
  } finally {
    lines.close();
  }
}

/** True only for the whole word. */
export async function askYes(asking: Asking, question: string, instead: string): Promise<boolean> {
  const answer = await askLine(asking, `${question} Type yes to go on:`, instead);
  return answer.toLowerCase() === 'yes';
}

/** Typed without being shown. */
export async function askSecret(asking: Asking, question: string, instead: string): Promise<string> {
  requireTerminal(asking, instead);
  asking.output.write(`${cleanLine(question)} `);
  try {
    return await readHidden(asking);
  } finally {
    asking.output.write('\n');
  }
}

/** Asked twice, so that a slip of the finger does not lock its owner out. */
export async function askNewPassphrase(asking: Asking, instead: string): Promise<string> {
  for (;;) {
    const first = await askSecret(asking, 'New passphrase (not shown):', instead);
    if ([...first].length < PASSPHRASE_LENGTH_MIN) {
      asking.output.write(`Too short: at least ${PASSPHRASE_LENGTH_MIN} characters. A few unrelated words are good.\n`);
      continue;
    }
    if ((await askSecret(asking, 'The same again:', instead)) === first) return first;
    asking.output.write('The two are not the same. Once more.\n');
  }
}

/**
 * The first line of a file: for services, and for descriptors (`/dev/fd/3`). A file that others can read is refused.
 * `isNew`: it is about to seal something, so that a short one is refused too.
 */
export async function readPassphraseFile(
  path: string,
  { isNew = false }: { readonly isNew?: boolean } = {},
): Promise<string> {
  const [line = ''] = (await readPrivateText(path)).split(/\r?\n/);
  if (line === '') throw new CommandError(EXIT.badConfig, `The passphrase file ${path} is empty.`);
  if (!isNew || [...line].length >= PASSPHRASE_LENGTH_MIN) return line;
  throw new CommandError(
    EXIT.badConfig,
    `The passphrase in ${path} is too short: at least ${PASSPHRASE_LENGTH_MIN} characters.`,
  );
}

async function readPrivateText(path: string): Promise<string> {
  const file = await open(path).catch((cause: unknown) => {
    throw new CommandError(EXIT.badConfig, `The passphrase file ${path} cannot be read.`, undefined, { cause });
  });
  try {
    const facts = await file.stat();
    if (process.platform !== 'win32' && facts.isFile() && (facts.mode & 0o077) !== 0)
      throw new CommandError(EXIT.badConfig, `Others can read the passphrase file ${path}.`, `chmod 600 ${path}`);
    const bytes = await file.readFile();
    const text = bytes.subarray(0, PASSPHRASE_FILE_BYTES_MAX).toString('utf8');
    bytes.fill(0);
    return text;
  } finally {
    await file.close();
  }
}

function requireTerminal({ input, output }: Asking, instead: string): void {
  if (input.isTTY && output.isTTY) return;
  throw new CommandError(EXIT.usage, 'There is no terminal to ask on.', `answer on the command line: ${instead}`);
}

function interrupted(): CommandError {
  return new CommandError(EXIT.interrupted, 'Stopped. Nothing was changed.');
}

/** The terminal shows again what is typed, however this ends. */
function readHidden({ input }: Asking): Promise<string> {
  const parser = new KeyParser();
  const decoder = new StringDecoder('utf8');
  let secret = '';
  return new Promise<string>((resolve, reject) => {
    const finish = (tell: () => void) => {
      input.setRawMode?.(false);
      input.off('data', onData);
      input.off('end', onEnd);
      input.pause();
      tell();
    };
    const onEnd = () => finish(() => reject(interrupted()));
    const onData = (bytes: Buffer) => {
      for (const event of parser.feed(decoder.write(bytes))) {
        const next = hiddenStep(secret, event);
        if (next === 'done') return finish(() => resolve(secret));
        if (next === 'stop') return onEnd();
        secret = next.secret;
      }
      return undefined;
    };
    input.setRawMode?.(true);
    input.on('data', onData);
    input.once('end', onEnd);
    input.resume();
  });
}

function hiddenStep(secret: string, event: InputEvent): { readonly secret: string } | 'done' | 'stop' {
  if (event.type === 'text') return { secret: (secret + event.text).slice(0, SECRET_LENGTH_MAX) };
  if (event.type === 'paste') return { secret: (secret + event.text.replaceAll('\n', '')).slice(0, SECRET_LENGTH_MAX) };
  if (event.type !== 'key') return { secret };
  switch (event.key) {
    case 'enter':
    case 'ctrl+j':
      return 'done';
    case 'ctrl+c':
    case 'ctrl+d':
      return 'stop';
    case 'backspace':
      return { secret: [...secret].slice(0, -1).join('') };
    case 'ctrl+u':
      return { secret: '' };
    default:
      return { secret };
  }
}
