import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { nodeCrypto, sealedPublicKey } from '@norc/crypto/node';
import { instant } from '@norc/protocol/base';
import { fingerprintText, rootKeyFingerprint } from '@norc/protocol/crypto';
import { type RotationBody, timeText } from '@norc/protocol/norc-t';
import { examineRotation, signRotation } from '@norc/server';
import { type Command, CommandError, type CommandInput, EXIT, positional } from '../command.ts';
import { explainKeyFile, OFFICER_OPTIONS, openOfficerKey, requiredOfficerSource } from '../officer/key.ts';
import { factLines, fingerprintLines, note, print, printFacts, printJson } from '../output.ts';
import { askingOnTerminal, askYes } from '../terminal/prompt.ts';
import { JSON_OPTION } from './shared.ts';

const USAGE = 'norc org sign-rotation FILE --set FILE --out FILE';

export const orgSignRotation: Command = {
  words: ['org', 'sign-rotation'],
  topic: 'server',
  arguments: 'FILE',
  summary: 'As a recovery officer, sign the replacement of a root key.',
  help: `FILE is what norc org rotate-root --recovery made; --set is the copy of recovery-set.json that you got when you were
named: it says which organisation and which root key this has to be about. Nothing is signed before you have seen it.
Compare the fingerprint of the new key with the one that the organisation tells you over another channel: your
signature hands the organisation over to whoever holds that key.`,
  options: [
    { name: 'set', value: 'FILE', text: 'Your copy of recovery-set.json. Required.' },
    ...OFFICER_OPTIONS,
    { name: 'out', value: 'FILE', text: 'Where the signed copy goes. Required.' },
    { name: 'yes', text: 'Sign without being asked.' },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const document = await readDocument(positional(input, 0, 'FILE'));
    const set = await readDocument(requiredFile(input, 'set', 'Your copy of recovery-set.json is missing.'));
    const out = requiredFile(input, 'out', 'A file for the signed copy is missing.');
    const source = requiredOfficerSource(input, USAGE);
    const officer = await sealedPublicKey(source.keyFile).catch(explainKeyFile);
    const { body } = examineRotation(document, set, officer);
    for (const line of factLines(rotationFacts(body))) note(line);
    await confirm(input);
    const signer = await openOfficerKey(source);
    try {
      await writeFile(resolve(out), (await signRotation(document, signer)).bytes, { flag: 'wx' });
    } finally {
      signer.close();
    }
    const fingerprint = fingerprintOf(body.new_root_key);
    if (input.flags.has('json')) printJson({ org: body.org, out, new_root_fingerprint: fingerprint });
    else {
      print(`You signed a new root key of ${body.org}; the copy is in ${out}.`);
      printFacts([['New fingerprint', fingerprintLines(fingerprint)]]);
    }
    return EXIT.ok;
  },
};

function fingerprintOf(rootKey: Uint8Array): string {
  return fingerprintText(rootKeyFingerprint(nodeCrypto, rootKey));
}

const REASONS: Readonly<Record<RotationBody['reason'], string>> = {
  scheduled: 'planned',
  lost: 'the old key is lost',
  compromised: 'the old key is stolen: nothing that it certified counts any more',
};

function rotationFacts(body: RotationBody): Parameters<typeof factLines>[0] {
  return [
    ['Organisation', body.org],
    ['Reason', REASONS[body.reason]],
    ['Made', timeText(instant(body.issued_at))],
    ['Takes effect', timeText(instant(body.effective_at))],
    ['Old fingerprint', fingerprintLines(fingerprintOf(body.old_root_key))],
    ['New fingerprint', fingerprintLines(fingerprintOf(body.new_root_key))],
  ];
}

async function confirm({ flags }: CommandInput): Promise<void> {
  if (flags.has('yes')) return;
  const question = 'Hand the organisation over to whoever holds the new key?';
  if (await askYes(askingOnTerminal, question, '--yes')) return;
  throw new CommandError(EXIT.interrupted, 'Stopped. Nothing was signed.');
}

function requiredFile({ options }: CommandInput, name: string, missing: string): string {
  const file = options.get(name);
  if (file !== undefined) return file;
  throw new CommandError(EXIT.usage, missing, `Add --${name} FILE.`);
}

async function readDocument(file: string): Promise<Uint8Array> {
  return await readFile(resolve(file)).then(
    (bytes) => Uint8Array.from(bytes),
    (cause: unknown) => {
      throw new CommandError(EXIT.badData, `${file} cannot be read.`, undefined, { cause });
    },
  );
}
