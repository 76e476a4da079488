import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { NORC_COMMAND, Sandbox } from './sandbox.ts';

/** A real terminal, by tmux: what a person would see. */
const hasTmux = spawnSync('tmux', ['-V']).status === 0;
const skip = hasTmux ? false : 'tmux is not installed';

const LOOK_MS = 50;
const LOOKS_MAX = 400;

let sandbox: Sandbox;
before(async () => {
  if (!hasTmux) return;
  sandbox = await Sandbox.create();
  await sandbox.server();
  await sandbox.enroll('anna@dev.example', 'anna');
  await sandbox.enroll('ben@dev.example', 'ben');
});
after(async () => {
  if (!hasTmux) return;
  spawnSync('tmux', [...socket(), 'kill-server']);
  await sandbox.close();
});

const socket = (): readonly string[] => ['-S', sandbox.path('tmux'), '-f', '/dev/null'];
const tmux = (...args: readonly string[]): string =>
  execFileSync('tmux', [...socket(), ...args], {
    cwd: sandbox.folder,
    env: { ...sandbox.environment, LANG: 'C.UTF-8' },
    encoding: 'utf8',
  });

/** Nothing tells when a terminal has drawn: it is looked at until it shows what is expected. */
async function shows(name: string, ...parts: readonly RegExp[]): Promise<string> {
  let screen = '';
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    screen = tmux('capture-pane', '-p', '-t', name);
    if (parts.every((part) => part.test(screen))) return screen;
    await delay(LOOK_MS);
  }
  return assert.fail(`${parts.join(' ')} did not appear:\n${screen}`);
}

function open(name: string, width: number, args: readonly string[]): void {
  const command = [...NORC_COMMAND, ...args].map((part) => `'${part}'`).join(' ');
  tmux('new-session', '-d', '-s', name, '-x', String(width), '-y', '24', `${command}; echo "exit $?"; exec cat`);
}

test('two people talk on full screens, and get their terminals back', { skip }, async () => {
  open('anna', 100, ['chat', '--profile', 'anna', '--to', 'ben@dev.example']);
  await shows('anna', /UNCLASSIFIED/, /Connected/, /ben/);
  tmux('send-keys', '-t', 'anna', '-l', 'Hello Ben');
  tmux('send-keys', '-t', 'anna', 'Enter');
  await shows('anna', /You \(U\) Hello Ben/);
  open('ben', 60, ['chat', '--profile', 'ben']);
  await shows('ben', /Connected/);
  tmux('send-keys', '-t', 'ben', '-l', '/to anna@dev.example');
  tmux('send-keys', '-t', 'ben', 'Enter');
  await shows('ben', /anna \(U\) Hello Ben/);
  await shows('anna', /Hello Ben {2}\[Read\]/);
  tmux('send-keys', '-t', 'ben', '-l', '/info');
  tmux('send-keys', '-t', 'ben', 'Enter');
  await shows('ben', /How this conversation is protected/, /(\d{5} ){5}\d{5}/);
  for (const name of ['anna', 'ben']) {
    tmux('send-keys', '-t', name, 'C-c');
    const left = await shows(name, /exit 0/);
    assert.doesNotMatch(left, /UNCLASSIFIED/, 'the screen is as it was before');
  }
});

test('a passphrase is typed unseen, twice for a new profile, and a wrong one is told', { skip }, async () => {
  await sandbox.must(['user', 'add', 'paula@dev.example']);
  const { code } = JSON.parse(await sandbox.must(['enroll', 'paula@dev.example', '--json'])) as { code: string };
  const type = (text: string) => {
    tmux('send-keys', '-t', 'paula', '-l', text);
    tmux('send-keys', '-t', 'paula', 'Enter');
  };
  open('paula', 100, ['enroll', code, '--profile', 'paula']);
  await shows('paula', /New passphrase/);
  type('correct horse battery');
  await shows('paula', /The same again/);
  type('correct horse battery');
  const enrolled = await shows('paula', /This device is now paula@dev\.example's/, /exit 0/);
  assert.doesNotMatch(enrolled, /horse/);
  tmux('kill-session', '-t', 'paula');
  open('paula', 100, ['chat', '--profile', 'paula']);
  await shows('paula', /Passphrase:/);
  type('wrong horse battery');
  const refused = await shows('paula', /The passphrase is wrong/, /exit 77/);
  assert.doesNotMatch(refused, /horse/);
});
