import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
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

/** Runs all blocks in order. A code or request that a command prints takes the place of `norc1-…` or `norc-officer1-…` in later ones. */
async function follow(sandbox: Sandbox, blocks: readonly Block[]): Promise<string> {
  let code = 'norc1-…';
  let request = 'norc-officer1-…';
  let said = '';
  for (const { how, at, commands } of blocks) {
    for (const command of commands) {
      const line = command.replace('norc1-…', code).replace('norc-officer1-…', request);
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
      request = /norc-officer1-[\w-]+/.exec(running.out)?.[0] ?? request;
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

test('root-key.md does what it says', { skip: process.platform === 'win32' }, async () => {
  const sandbox = await Sandbox.create();
  try {
    await pretendInstalled(sandbox);
    await writeFile(sandbox.path('norc.toml'), '[organisation]\ndomains = ["alpha.example"]\n');
    for (const name of ['anna', 'ben', 'cleo'])
      await writeFile(sandbox.path(`${name}.pass`), `the passphrase of ${name}\n`, { mode: 0o600 });
    const said = await follow(sandbox, blocksOf(await document('root-key')));
    assert.equal(said.match(/alpha\.example has a new root key\./g)?.length, 2);
    const fingerprints = [...said.matchAll(/Root fingerprint +([0-9a-f]{4}[0-9a-f ]+)/g)].map((match) => match[1]);
    assert.equal(new Set(fingerprints).size, 3, 'the first, the second and the recovered key');
    assert.match(said, /You signed a new root key of alpha\.example/);
    await sandbox.must(['org', 'show']);
  } finally {
    await sandbox.close();
  }
});

test('trust-policy.md does what it says', { skip: process.platform === 'win32' }, async () => {
  const sandbox = await Sandbox.create();
  try {
    await pretendInstalled(sandbox);
    const text = await document('trust-policy');
    const policy = /```toml\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
    await writeFile(sandbox.path('trust-policy.toml'), policy);
    await sandbox.server();
    const said = await follow(sandbox, blocksOf(text));
    assert.match(said, /trust-policy\.toml is sound\./);
    assert.match(said, /It loosens nothing: one person can apply it\./);
    assert.match(said, /^Policy 1 is in force\.$/m);
    assert.match(said, /\$ npx norc policy history\nPolicy 1,/);
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

test('officers.md does what it says', { skip: process.platform === 'win32' }, async () => {
  const sandbox = await Sandbox.create();
  try {
    await pretendInstalled(sandbox);
    await writeFile(sandbox.path('norc.toml'), '[organisation]\ndomains = ["alpha.example"]\n');
    await sandbox.must(['org', 'init', 'alpha.example']);
    await startNeighbour(sandbox);
    await sandbox.start(['server']).line(/^ {2}Stop /);
    const bravo = ['--data', 'bravo/norc-data'];
    const policy = '[levels.basic]\napprovals = 2\n[levels.basic.evidence]\nofficer_approval = "required"\n';
    await writeFile(sandbox.path('strict.toml'), policy);
    await sandbox.must(['policy', 'apply', 'strict.toml', '--yes']);
    await sandbox.must(['policy', 'apply', 'strict.toml', '--yes', ...bravo]);
    for (const name of ['anna', 'ada', 'alex', 'bravo/bert', 'bravo/bea'])
      await writeFile(sandbox.path(`${name}.words`), `the passphrase of ${name}\n`, { mode: 0o600 });
    for (const name of ['bravo/bert', 'bravo/bea']) {
      const made = await sandbox.must([
        'officer',
        'init',
        '--out',
        `${name}.key`,
        '--passphrase-file',
        `${name}.words`,
      ]);
      const request = /norc-officer1-[\w-]+/.exec(made)?.[0] ?? '';
      await sandbox.must(['officer', 'add', request, '--yes', ...bravo]);
    }
    const said = await follow(sandbox, blocksOf(await document('officers')));
    assert.equal(said.match(/is in office until/g)?.length, 3);
    assert.match(said, /trust request bravo\.example[^$]*domain_proof +holds/);
    assert.equal(said.match(/Your approval is recorded: 1 of 2\./g)?.length, 2);
    assert.match(said, /trust approve bravo\.example[^$]*alex[^$]*State +in force/);
  } finally {
    await sandbox.close();
  }
});

test('evidence.md does what it says', { skip: process.platform === 'win32' }, async () => {
  const sandbox = await Sandbox.create();
  try {
    await pretendInstalled(sandbox);
    await writeFile(sandbox.path('norc.toml'), '[organisation]\ndomains = ["alpha.example"]\n');
    await sandbox.must(['org', 'init', 'alpha.example']);
    await startNeighbour(sandbox);
    await sandbox.start(['server']).line(/^ {2}Stop /);
    await sandbox.must(['trust', 'request', 'bravo.example']);
    assert.equal(await sandbox.start(['trust', 'approve', 'alpha.example'], sandbox.path('bravo')).ended, 0);
    const fixtures = new URL('../../packages/server/src/norc-t/evidence/fixtures/', import.meta.url);
    await copyFile(new URL('chain-alpha.pem', fixtures), sandbox.path('chain.pem'));
    await copyFile(new URL('leaf-p256.key', fixtures), sandbox.path('key.pem'));
    await writeFile(sandbox.path('device-rules.txt'), 'Screens are locked.');
    const said = await follow(sandbox, blocksOf(await document('evidence')));
    assert.match(said, /^Kept: X\.509 chain of 2, CN Alpha\.$/m);
    assert.match(said, /^Kept: devices attested: ios 100 %, windows 80 %\.$/m);
    assert.match(said, /recommendations\/alpha\.example\.json .* recommended up to basic by alpha\.example/);
    assert.match(said, /^domain_proof +held +static /m);
    const own = await sandbox.norc(['evidence', 'check', 'bravo.example', 'bravo-vouch.json', 'chain.pem']);
    assert.equal(own.code, 1, own.out);
    assert.match(own.out, /^recommendation +failed .* the policy does not count recommendations by alpha\.example$/m);
  } finally {
    await sandbox.close();
  }
});

test('governance.md does what it says', { skip: process.platform === 'win32' }, async () => {
  const sandbox = await Sandbox.create();
  try {
    await pretendInstalled(sandbox);
    await writeFile(sandbox.path('norc.toml'), '[organisation]\ndomains = ["alpha.example"]\n');
    await sandbox.must(['org', 'init', 'alpha.example']);
    await startNeighbour(sandbox);
    await sandbox.start(['server']).line(/^ {2}Stop /);
    await sandbox.must(['trust', 'request', 'bravo.example']);
    assert.equal(await sandbox.start(['trust', 'approve', 'alpha.example'], sandbox.path('bravo')).ended, 0);
    const said = await follow(sandbox, blocksOf(await document('governance')));
    assert.match(said, /trust restore[^$]*Trust with bravo\.example is restored/);
    assert.match(said, /trust revoke[^$]*links with bravo\.example closed[^$]*All is in force\./);
    assert.match(said, /condition-met[^$]*has met the condition 'clearance'/);
    assert.match(said, /trust verify papers[^$]*Checked +4 server certificates, [^$]*All of it holds\./);
    assert.match(said, /trust show alpha\.example[^$]*ended trust with bravo\.example: broken into: keys are stolen/);
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
