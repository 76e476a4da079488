import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { EXIT } from '../command.ts';
import { conclude } from './trust-end.ts';
import type { ProgressView } from './trust-progress.ts';

const AT = 1_790_000_000_000;

function progress(changes: Partial<ProgressView>): ProgressView {
  return {
    act: {
      ...{ issuer: 'alpha.example', subject: 'bravo.example', action: 'revoke', reason: 'test' },
      ...{ first: 1, last: 1, issued_at: AT, effective_at: AT, held: false },
    },
    ...{ sequence: 1, state: 'enforced', now: AT + 1000, deadline_at: AT + 60_000, enforced_at: AT + 5 },
    conversations: { total: 0, frozen: 0, removed: 0, each: [] },
    servers: [{ peer: 'charlie.example', role: 'partner', state: 'confirmed', attempts: 1, confirmed_at: AT + 20 }],
    ...changes,
  };
}

/** What is printed meanwhile, and the exit code. */
function concluded(view: ProgressView, isJson = false): readonly [code: number, text: string] {
  const printed: string[] = [];
  const take = (text: unknown) => {
    printed.push(String(text));
    return true;
  };
  const [out, err] = [mock.method(process.stdout, 'write', take), mock.method(process.stderr, 'write', take)];
  try {
    return [conclude(view, 'bravo.example', isJson), printed.join('')];
  } finally {
    out.mock.restore();
    err.mock.restore();
  }
}

test('--watch ends with 0 when all is in force everywhere', () => {
  const [code, text] = concluded(progress({}));
  assert.equal(code, EXIT.ok);
  assert.match(text, /All is in force/);
});

test('--watch ends with 2 at the deadline, and names who has not confirmed', () => {
  const waiting = {
    peer: 'charlie.example',
    role: 'partner',
    state: 'waiting',
    attempts: 3,
    fault: 'no_route',
  } as const;
  const late = progress({ state: 'overdue', servers: [waiting] });
  const [code, text] = concluded(late);
  assert.equal(code, 2);
  assert.match(text, /Not confirmed:\n {2}charlie.example: no confirmation, it cannot be reached \(3 attempts\)/);
  assert.equal(concluded(late, true)[0], 2, 'also as JSON');
});

test('nobody waits for the one that was cut off', () => {
  const subject = { peer: 'bravo.example', role: 'subject', state: 'waiting', attempts: 3 } as const;
  const [code, text] = concluded(progress({ servers: [subject] }));
  assert.equal(code, EXIT.ok);
  assert.match(text, /bravo.example itself has not confirmed. Nobody waits for it/);
});
