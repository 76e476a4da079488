import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/**
 * The terminal is a stand-in (tty.fixture.ts): its bytes go to a pipe. What matters
 * here is that it is given back however the program ends.
 */
const FIXTURE = fileURLToPath(new URL('./tty.fixture.ts', import.meta.url));
const LEAVE = '\u001b[?1049l';

async function run(how: string, act?: (child: ReturnType<typeof spawn>) => void) {
  const child = spawn(process.execPath, [...process.execArgv, FIXTURE, how], { stdio: ['pipe', 'pipe', 'pipe'] });
  let bytes = '';
  let errors = '';
  let acted = false;
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  child.stdout.on('data', (chunk) => {
    bytes += chunk;
    if (acted || !bytes.includes('ready')) return;
    acted = true;
    act?.(child);
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on('close', (...end) => resolve(end));
  });
  return { bytes, errors, code, signal };
}

const count = (text: string, part: string): number => text.split(part).length - 1;

test('the terminal is entered once and given back once, whatever ends the program', {
  skip: process.platform === 'win32',
}, async () => {
  const ways: Readonly<Record<string, (child: ReturnType<typeof spawn>) => void>> = {
    close: (child) => child.stdin?.write('\u0003'),
    exit: (child) => child.stdin?.write('x'),
    throw: (child) => child.stdin?.write('t'),
    SIGTERM: (child) => child.kill('SIGTERM'),
    SIGHUP: (child) => child.kill('SIGHUP'),
    'input end': (child) => child.stdin?.end(),
  };
  const codes: Readonly<Record<string, number>> = {
    close: 0,
    exit: 7,
    throw: 1,
    SIGTERM: 143,
    SIGHUP: 129,
    'input end': 129,
  };
  const results = await Promise.all(
    Object.entries(ways).map(async ([how, act]) => [how, await run(how, act)] as const),
  );
  for (const [how, { bytes, errors, code }] of results) {
    assert.equal(count(bytes, '\u001b[?1049h'), 1, how);
    assert.equal(count(bytes, LEAVE), 1, how);
    assert.ok(bytes.includes('\u001b[?2004l') && bytes.includes('\u001b[?25h'), how);
    assert.equal(count(errors, 'raw on'), 1, how);
    assert.equal(count(errors, 'raw off'), 1, how);
    assert.equal(code, codes[how], `${how}: ${errors}`);
    assert.ok(!bytes.includes('\u001b[2J'), 'nothing is erased that was not drawn');
  }
  assert.match(
    results.find(([how]) => how === 'throw')?.[1].errors ?? '',
    /raw off[\s\S]*on purpose/,
    'the error comes after',
  );
});

test('frames are marked only for a terminal that says it knows them', async () => {
  const marks = async (answer: string) => {
    const { bytes } = await run('close', (child) => child.stdin?.write(`${answer}r\u0003`));
    return count(bytes, '\u001b[?2026h');
  };
  assert.equal(await marks('\u001b[?2026;2$y'), 1);
  assert.equal(await marks('\u001b[?2026;0$y'), 0);
});
