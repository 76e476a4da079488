import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex, utf8 } from '@norc/protocol/base';
import { print, tableLines } from '../output.ts';
import type { Played } from './conversation.ts';
import type { Pair, RunningSide } from './servers.ts';
import type { Stage } from './stage.ts';
import { expect } from './wait.ts';

/** All that a server can see of one message (GET /entry of the admin interface). */
interface EntryView {
  readonly seq: number;
  readonly kind: string;
  readonly epoch: number;
  readonly label: string;
  readonly sender: string;
  readonly sender_user: string;
  readonly size: number;
  readonly body_hex_head: string;
  readonly body_hex_tail: string;
  readonly stored_at: number;
}

const HEX_SHOWN = 24;

/** The same message, as each server has it, beside what was read; and a search for its words in all that they store. */
export async function showServerViews(stage: Stage, sides: Pair<RunningSide>, played: Played): Promise<void> {
  const { conversation, first } = played;
  const views = await Promise.all(
    sides.map(({ admin }) => admin.get<EntryView>('/entry', { conversation, seq: first.seq })),
  );
  const [hub, follower] = views;
  expect(hub !== undefined && follower !== undefined, 'A server does not have the message.');
  expect(
    hub.body_hex_head === follower.body_hex_head && hub.body_hex_tail === follower.body_hex_tail,
    'The servers hold different bytes.',
  );
  const [alpha, bravo] = sides;
  for (const line of tableLines(
    ['', `${alpha.domain} (orders the log)`, `${bravo.domain} (follows it)`],
    rowsOf(hub, follower),
  )) {
    print(`   ${line}`);
  }
  stage.blank();
  stage.quote(`${first.readBy} read`, `“${first.text}”`);
  const searched = await Promise.all(sides.map((side) => searchFor(side, first.text)));
  const files = searched.reduce((sum, one) => sum + one.files, 0);
  const bytes = searched.reduce((sum, one) => sum + one.bytes, 0);
  stage.say(`These words are in none of the ${files} files of both servers (${(bytes / 1e6).toFixed(1)} MB searched).`);
}

function rowsOf(a: EntryView, b: EntryView): readonly (readonly string[])[] {
  const row = (name: string, show: (view: EntryView) => string) => [name, show(a), show(b)];
  return [
    row('place in the log', ({ seq }) => String(seq)),
    row('kind', ({ kind }) => kind),
    row('epoch', ({ epoch }) => String(epoch)),
    row('label', ({ label }) => label),
    row('sender', ({ sender_user }) => sender_user),
    row('device', ({ sender }) => `${sender.slice(0, 8)}…`),
    row('size', ({ size }) => `${size} bytes`),
    row('stored', ({ stored_at }) => new Date(stored_at).toISOString().slice(11, 23)),
    row('content', ({ body_hex_tail }) => `${body_hex_tail.slice(-HEX_SHOWN)}`),
  ];
}

/** Throws DemoError when the words are in any file of that side: database, its log, the server's log. */
async function searchFor({ domain, paths }: RunningSide, text: string): Promise<{ files: number; bytes: number }> {
  const folder = join(paths.data, '..');
  const wanted = [Buffer.from(utf8(text)), Buffer.from(toHex(utf8(text)))];
  let files = 0;
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const content = await readFile(join(entry.parentPath, entry.name));
    expect(
      !wanted.some((words) => content.includes(words)),
      `${domain} stores the message in the clear, in ${entry.name}.`,
    );
    files += 1;
    bytes += content.length;
  }
  return { files, bytes };
}
