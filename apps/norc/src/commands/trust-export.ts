import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fromBase64Url } from '@norc/protocol/base';
import { fingerprintText } from '@norc/protocol/crypto';
import { type Command, CommandError, EXIT, positional } from '../command.ts';
import { fingerprintLines, hint, print, printFacts, printJson } from '../output.ts';
import { type BundleFile, fingerprintOf, verifyBundle } from '../trust/verify-bundle.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS } from './shared.ts';
import { fileName } from './trust-end.ts';
import { domainArgument } from './trust-partner.ts';

interface Exported {
  readonly self: string;
  readonly peer: string;
  readonly roots: readonly { readonly domain: string; readonly root_key: string; readonly root_fingerprint: string }[];
  readonly files: readonly { readonly name: string; readonly document: string }[];
}

export const trustExport: Command = {
  words: ['trust', 'export'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Write all signed documents about one partner to a folder, for an auditor.',
  help: `Certificates, server certificates, statements, acknowledgments, receipts, approvals. norc trust verify FOLDER checks
them without a server; give the auditor the root fingerprints over another channel.`,
  options: [...SERVER_OPTIONS, { name: 'out', value: 'FOLDER', text: 'A new folder.' }],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const out = input.options.get('out');
    if (out === undefined)
      throw new CommandError(EXIT.usage, 'The folder is missing.', `norc trust export ${peer} --out FOLDER`);
    const { files, ...manifest } = await (await adminClient(input)).get<Exported>('/trust/export', { peer });
    await newFolder(out);
    await writeFile(join(out, 'bundle.json'), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: 0o600 });
    for (const { name, document } of files) {
      const path = join(out, ...name.split('/').map(fileName));
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(path, fromBase64Url(document) ?? new Uint8Array(), { mode: 0o600 });
    }
    print(`${files.length} documents about ${peer} are in ${out}.`);
    hint(`norc trust verify ${out}`);
    return EXIT.ok;
  },
};

async function newFolder(out: string): Promise<void> {
  await mkdir(out, { mode: 0o700 }).catch((cause: unknown) => {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    const words = exists ? `${out} exists already. It was left as it is.` : `${out} cannot be made.`;
    throw new CommandError(EXIT.cannotCreate, words, 'Name another folder.', { cause });
  });
}

export const trustVerify: Command = {
  words: ['trust', 'verify'],
  topic: 'trust',
  arguments: 'FOLDER',
  summary: 'Check an export without a server: every signature, up to the root keys.',
  help: `Compare the root fingerprints that it prints with those that the organisations tell you over another channel:
what is checked here is worth as much as they are. Exit code 0 when all holds, 1 with the first file that does not.`,
  options: [JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const folder = positional(input, 0, 'FOLDER');
    const report = verifyBundle(await filesIn(folder));
    const roots = report.roots.map((root) => ({ domain: root.org, fingerprint: fingerprintText(fingerprintOf(root)) }));
    if (input.flags.has('json')) printJson({ ...report, roots });
    else {
      print('Root fingerprints, to compare:');
      if (roots.length > 0) printFacts(roots.map(({ domain, fingerprint }) => [domain, fingerprintLines(fingerprint)]));
      printFacts([
        [
          'Checked',
          Object.entries(report.checked)
            .map(([folder, count]) => `${count} ${CONTENTS[folder] ?? folder}`)
            .join(', ') || 'nothing',
        ],
      ]);
      print(report.bad === undefined ? 'All of it holds.' : `${report.bad.path} does not hold: ${report.bad.why}.`);
      if (report.bad === undefined && (report.checked['forks'] ?? 0) > 0)
        print('Each file in forks/ proves that its issuer signed two histories: no honest server does.');
    }
    return report.bad === undefined ? EXIT.ok : EXIT.failure;
  },
};

/** What a folder of an export holds, in words. */
const CONTENTS: Readonly<Record<string, string>> = {
  servers: 'server certificates',
  certificates: 'trust certificates',
  chains: 'statements',
  acks: 'acknowledgments',
  forks: 'second histories',
};

const FILE_BYTES_MAX = 1_000_000;

async function filesIn(folder: string): Promise<readonly BundleFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new CommandError(EXIT.badData, `${folder} cannot be read.`, 'Name the folder of an export.', { cause });
  });
  const files: BundleFile[] = [];
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    files.push({
      path: relative(folder, path).split(sep).join('/'),
      bytes: bytes.length > FILE_BYTES_MAX ? new Uint8Array() : Uint8Array.from(bytes),
    });
  }
  return files;
}
