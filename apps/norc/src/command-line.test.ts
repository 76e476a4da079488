import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Command, CommandError, type CommandInput, EXIT } from './command.ts';
import { runCommandLine } from './command-line.ts';
import { COMMANDS } from './commands/index.ts';
import { commandHelp, overview, usageOf } from './help.ts';

// What a person reads depends on how the command was started: here, not by npm, whoever starts the tests.
delete process.env['npm_command'];

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process and gives what it printed. */
async function run(commands: readonly Command[], ...args: readonly string[]): Promise<Outcome> {
  const streams = { out: process.stdout, err: process.stderr };
  const text = { out: '', err: '' };
  const writes = { out: streams.out.write, err: streams.err.write };
  for (const name of ['out', 'err'] as const) {
    streams[name].write = (chunk: string | Uint8Array) => {
      text[name] += String(chunk);
      return true;
    };
  }
  try {
    return { code: await runCommandLine(commands, args), ...text };
  } finally {
    streams.out.write = writes.out;
    streams.err.write = writes.err;
  }
}

function commandThat(does: (input: CommandInput) => void, parts: Partial<Command> = {}): readonly Command[] {
  const run: Command['run'] = async (input) => {
    does(input);
    return EXIT.ok;
  };
  return [{ words: ['thing', 'do'], topic: 'look', arguments: '', summary: 'Does it.', options: [], run, ...parts }];
}

test('options, flags and arguments reach the command', async () => {
  let seen: CommandInput | undefined;
  const options = [
    { name: 'level', value: 'LEVEL', text: 'x' },
    { name: 'yes', text: 'y' },
  ];
  const commands = commandThat((input) => (seen = input), { options, argumentsMax: 1 });
  assert.equal((await run(commands, 'thing', 'do', 'bravo.example', '--level=basic', '--yes')).code, EXIT.ok);
  assert.deepEqual(seen?.positionals, ['bravo.example']);
  assert.equal(seen?.options.get('level'), 'basic');
  assert.ok(seen?.flags.has('yes'));
});

test('a wrong command line is exit 64, says what is wrong, and does nothing', async () => {
  const commands = commandThat(() => assert.fail('it must not run'), {
    options: [{ name: 'level', value: 'LEVEL', text: 'x' }],
  });
  for (const args of [
    ['thing', 'do', '--lvel', 'basic'],
    ['thing', 'do', '--level'],
    ['thing', 'do', 'too', 'many'],
    ['thing', 'undo'],
    ['thing'],
    ['nothing'],
    [],
  ]) {
    const { code, out, err } = await run(commands, ...args);
    assert.equal(code, EXIT.usage, args.join(' '));
    assert.equal(out, '', args.join(' '));
    assert.match(err, /norc/, args.join(' '));
  }
});

test('help is asked for in every usual way, goes to standard output and is exit 0', async () => {
  const commands = commandThat(() => assert.fail('it must not run'));
  for (const args of [['help'], ['--help'], ['-h'], ['thing', '--help'], ['help', 'thing'], ['help', 'thing', 'do']]) {
    const { code, out, err } = await run(commands, ...args);
    assert.equal(code, EXIT.ok, args.join(' '));
    assert.match(out, /thing do/, args.join(' '));
    assert.equal(err, '', args.join(' '));
  }
  assert.match((await run(commands, 'thing', 'do', 'x', 'y', '--help')).out, /Does it/);
});

test('a failure is a sentence and the next step, with its exit code and without a stack', async () => {
  const failing = commandThat(() => {
    throw new CommandError(EXIT.unavailable, 'No server is running.', 'norc server');
  });
  const { code, out, err } = await run(failing, 'thing', 'do');
  assert.equal(code, EXIT.unavailable);
  assert.equal(out, '');
  assert.equal(err, 'norc: No server is running.\nnext: norc server\n');
});

test('a fault without words is named as one, and a stack is shown only on request', async () => {
  const broken = commandThat(() => {
    throw new TypeError('x is not a function');
  });
  const { code, err } = await run(broken, 'thing', 'do');
  assert.equal(code, EXIT.failure);
  assert.match(err, /should not.*TypeError: x is not a function/);
  assert.doesNotMatch(err, /\n\s+at /);
});

test("other people's text cannot reach the terminal as an escape sequence, neither in errors nor in output", async () => {
  const hostile = commandThat(() => {
    throw new CommandError(EXIT.failure, '\u001b]0;title\u0007 \u001b[31mred', 'a\u202eb');
  });
  const { err } = await run(hostile, 'thing', 'do');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(err, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  const typed = await run(COMMANDS, '\u001b[2J');
  assert.ok(!typed.err.includes('\u001b'));
});

test('every command has a help that a newcomer can follow', () => {
  const words = COMMANDS.map((command) => command.words.join(' '));
  assert.equal(new Set(words).size, words.length);
  for (const command of COMMANDS) {
    const name = command.words.join(' ');
    assert.match(command.summary, /^[A-Z].*\.$/, name);
    assert.ok(overview(COMMANDS).includes(`norc ${usageOf(command)}`), name);
    const help = commandHelp(command);
    for (const option of command.options) {
      assert.match(option.text, /^[A-Z].*\.$/, `${name} --${option.name}`);
      assert.ok(help.includes(`--${option.name}`), `${name} --${option.name}`);
    }
    for (const line of help.split('\n')) assert.ok(line.length <= 120, `${name}: ${line}`);
  }
});

const DOCUMENT = readFileSync(fileURLToPath(new URL('../../../docs/commands.md', import.meta.url)), 'utf8');

test('docs/commands.md has every command, every option and nothing else', () => {
  for (const command of COMMANDS) {
    const name = `norc ${usageOf(command)}`;
    const section = DOCUMENT.split(/^### /m).find((part) => part.startsWith(`\`${name}\`\n`));
    assert.ok(section !== undefined, `docs/commands.md has no section ### \`${name}\``);
    const documented = [...section.matchAll(/`--([a-z-]+)/g)].map((match) => match[1]);
    const own = command.options
      .filter(({ name: option }) => !COMMON.includes(option))
      .map(({ name: option }) => option);
    for (const option of own) assert.ok(documented.includes(option), `${name}: --${option} is not documented`);
    const known = new Set(COMMANDS.flatMap(({ options }) => options.map(({ name: option }) => option)));
    for (const option of documented)
      assert.ok(option !== undefined && known.has(option), `${name}: --${option} is no option`);
  }
  const sections = [...DOCUMENT.matchAll(/^### `norc (.*)`$/gm)].map((match) => match[1]);
  assert.deepEqual(sections.sort(), COMMANDS.map(usageOf).sort());
});

/** Explained once, at the top of the document. */
const COMMON = ['data', 'config', 'org', 'json', 'profile', 'unlock-file', 'passphrase-file'];

test('docs/commands.md has every exit code, and no other', () => {
  const table = [...DOCUMENT.matchAll(/^\| (\d+) \|/gm)].map((match) => Number(match[1]));
  assert.deepEqual(
    table,
    [...new Set(Object.values(EXIT))].sort((a, b) => a - b),
  );
});
