import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ConversationId } from '@norc/protocol/base';
import { openSqliteStore } from './store.ts';

const ROUNDS = 4;

/** Runs the writing process until `acknowledged` entries are confirmed, then kills it. Returns the last entry of each conversation that it confirmed. */
async function writeAndKill(file: string, acknowledged: number): Promise<Map<ConversationId, number>> {
  const script = new URL('./crash-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const confirmed = new Map<ConversationId, number>();
  let text = '';
  let count = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const [id, seq] = line.split(' ');
      confirmed.set(id as ConversationId, Number(seq)); // the writer prints one
      count += 1;
    }
    if (count >= acknowledged) child.kill('SIGKILL');
  });
  await once(child, 'close');
  return confirmed;
}

test(`nothing acknowledged is lost when the process is killed, ${ROUNDS} times over on one database`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'norc-crash-'));
  const file = join(folder, 'store.db');
  const total = new Map<ConversationId, number>();
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [id, seq] of await writeAndKill(file, 50 + round * 400)) total.set(id, seq);
      const store = await openSqliteStore({ file, onFault: assert.fail });
      for (const [id, confirmed] of total) {
        const head = (await store.read.conversation(id))?.headSeq ?? 0;
        assert.ok(head >= confirmed, `round ${round}: entry ${confirmed} was acknowledged, the log ends at ${head}`);
        const entries = await store.read.entries(id, 0, 100_000, 100_000_000);
        assert.deepEqual(
          entries.map(({ seq }) => seq),
          Array.from({ length: head }, (_, index) => index + 1),
        );
        for (const entry of entries) assert.equal(entry.body[0], entry.seq % 256, 'the entry is whole');
      }
      await store.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
