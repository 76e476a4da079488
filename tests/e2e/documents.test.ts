import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter } from 'node:path';
import { test } from 'node:test';
import { fromBase64Url } from '@norc/protocol/base';
import { domainProofText } from '@norc/protocol/norc-t';
import { freePort, NORC_COMMAND, Sandbox } from './sandbox.ts';

/**
 * Every command of the guides, as a reader types it. A comment before a block says how:
 * `run`, `run at FOLDER`, `server` (in the background, until it listens), or which other
 * test runs it.
 */

const document = (name: string): Promise<string> => readFile(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8');

interface Block {
  readonly how: 'run' | 'server';
  readonly at?: string;
  readonly commands: readonly string[];
}

const BLOCK = /(?:^<!-- test: (run|server|[a-z-]+\.test\.ts)(?: at ([a-z]+))? -->\n)?^```sh\n([\s\S]*?)^```$/gm;

function blocksOf(text: string): readonly Block[] {
  return [...text.matchAll(BLOCK)].flatMap(([, how, at, body = '']) => {
    assert.ok(how !== undefined, `a block says how it is tested:\n${body}`);
    if (how !== 'run' && how !== 'server') {
      assert.ok(existsSync(new URL(how, import.meta.url)), how);
      return [];
    }
    return [{ how, commands: body.trim().split('\n'), ...(at === undefined ? {} : { at }) }];
  });
}

/** `npx norc` and `npm` as in the repository after the installation, without npm's own work. */
async function pretendInstalled(sandbox: Sandbox): Promise<void> {
  const bin = sandbox.path('bin');
  const norc = NORC_COMMAND.map((part) => `'${part}'`).join(' ');
  await mkdir(bin);
  await writeFile(`${bin}/npx`, `#!/bin/sh\n[ "$1" = norc ] || exit 99\nshift\nexec ${norc} "$@"\n`);
  await writeFile(
    `${bin}/npm`,
    `#!/bin/sh\ncase "$1" in start) shift; set -- demo "$@";; run) shift;; *) exit 99;; esac
name=$1; shift; [ "$1" = -- ] && shift\nexec ${norc} "$name" "$@"\n`,
  );
  for (const name of ['npx', 'npm']) await chmod(`${bin}/${name}`, 0o755);
  sandbox.environment['PATH'] = `${bin}${delimiter}${sandbox.environment['PATH']}`;
}

/** Runs all blocks in order. A code that a command prints takes the place of `norc1-…` in later ones. */
async function follow(sandbox: Sandbox, blocks: readonly Block[]): Promise<string> {
  let code = 'norc1-…';
  let said = '';
  for (const { how, at, commands } of blocks) {
    for (const command of commands) {
      const line = command.replace('norc1-…', code);
      // The shell itself becomes the server, so that it ends with the sandbox.
      const shell = how === 'server' ? `exec ${line}` : line;
      const running = sandbox.spawn(['sh', '-c', shell], at === undefined ? sandbox.folder : sandbox.path(at));
      if (how === 'server') {
        await running.line(/^ {2}Stop /);
        continue;
      }
      running.end();
      assert.equal(await running.ended, 0, `${command}\n${running.out}\n${running.err}`);
      said += `$ ${command}\n${running.out}`;
      code = /norc1-[a-z0-9-]+/.exec(running.out)?.[0] ?? code;
    }
  }
  return said;
}

test('getting-started.md does what it says', { skip: process.platform === 'win32' }, async () => {
  const sandbox = await Sandbox.create();
  try {
    await pretendInstalled(sandbox);
    const port = String(await freePort());
    // Where a reader has 8080, a test has a port of its own.
    Object.assign(sandbox.environment, { NORC_LISTEN_PORT: port, NORC_SERVER: `127.0.0.1:${port}` });
    const said = await follow(sandbox, blocksOf(await document('getting-started')));
    assert.match(said, /^registered: /m);
    assert.match(said, /\[Sent\] {2}Hello Ben$/m);
  } finally {
    await sandbox.close();
  }
});

test('operating.md does what it says', { skip: process.platform === 'win32' }, async () => {
  const sandbox = await Sandbox.create();
  try {
    await pretendInstalled(sandbox);
    const [first, ...rest] = blocksOf(await document('operating'));
    assert.deepEqual(first?.commands, ['npx norc org init alpha.example']);
    await writeFile(sandbox.path('norc.toml'), '[organisation]\ndomains = ["alpha.example"]\n');
    await follow(sandbox, [first]);
    await startNeighbour(sandbox);
    const said = await follow(sandbox, rest);
    assert.match(said, /trust approve alpha\.example\nalpha\.example\n {2}State +in force\n/);
    assert.match(said, /trust list\nPARTNER[^$]*bravo\.example +in force +basic/);
    assert.match(said, /Trust with bravo\.example is ended/);
    assert.equal(said.match(/The audit log of alpha\.example is sound/g)?.length, 2);
  } finally {
    await sandbox.close();
  }
});

/** Another organisation, whose server runs. Both find each other by static entries: there is no DNS here. */
async function startNeighbour(sandbox: Sandbox): Promise<void> {
  await sandbox.must(['org', 'init', 'bravo.example', '--data', 'bravo/norc-data']);
  const alpha = { port: await freePort(), proof: await proofOf(sandbox.path('norc-data', 'alpha.example')) };
  const bravo = { port: await freePort(), proof: await proofOf(sandbox.path('bravo', 'norc-data', 'bravo.example')) };
  await writeFile(sandbox.path('norc.toml'), configText('alpha', alpha, 'bravo', bravo));
  await writeFile(sandbox.path('bravo', 'norc.toml'), configText('bravo', bravo, 'alpha', alpha));
  const running = sandbox.start(['server'], sandbox.path('bravo'));
  await running.line(/^ {2}Stop /);
}

interface Side {
  readonly port: number;
  readonly proof: string;
}

async function proofOf(folder: string): Promise<string> {
  const { public_key: key } = JSON.parse(await readFile(`${folder}/keys/root.pub.json`, 'utf8')) as {
    public_key: string;
  }; // our own command's
  return domainProofText(fromBase64Url(key) ?? new Uint8Array());
}

function configText(ownName: string, own: Side, otherName: string, other: Side): string {
  return `[organisation]
domains = ["${ownName}.example"]

[listen]
port = 0

[federation]
port = ${own.port}

[[federation.peer]]
domain = "${otherName}.example"
endpoints = ["127.0.0.1:${other.port}"]
trust_txt = ["${other.proof}"]
`;
}
