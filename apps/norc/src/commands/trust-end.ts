import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fromBase64Url } from '@norc/protocol/base';
import { type AdminClient, AdminRefusal } from '../admin-client.ts';
import {
  type Command,
  CommandError,
  type CommandInput,
  EXIT,
  type ExitCode,
  type OptionHelp,
  positional,
} from '../command.ts';
import { OFFICER_OPTIONS, officerSource } from '../officer/key.ts';
import { signOrder } from '../officer/sign-order.ts';
import { hint, note, print, printJson } from '../output.ts';
import { adminClient, adminClientOf, JSON_OPTION, organisationFolder, SERVER_OPTIONS, utcTime } from './shared.ts';
import { domainArgument, LEVELS } from './trust-partner.ts';
import { effectLine, effectsOf, figuresText, missingOf, type ProgressView } from './trust-progress.ts';

const REASON: OptionHelp = {
  name: 'reason',
  value: 'TEXT',
  text: 'Why; recorded in the audit log and told to the other side.',
};
const YES: OptionHelp = { name: 'yes', text: 'You mean it. Nothing happens without it.' };
const SIGN_YES: OptionHelp = { name: 'yes', text: 'You read what you sign. Nothing is asked.' };
const WATCH: readonly OptionHelp[] = [
  { name: 'watch', text: 'Print each effect as it is confirmed, until all are in or the deadline has come.' },
  {
    name: 'receipts',
    value: 'FOLDER',
    text: 'Leave the signed receipts there: one per server, one per conversation. Waits as --watch does.',
  },
];
const EFFECTIVE: OptionHelp = {
  name: 'effective',
  value: 'TIME',
  text: 'From when on, such as 2026-12-01T18:00Z (default: now).',
};
const POLL_MS = 100;

type Answer =
  | { readonly sequence: number }
  | { readonly proposal: { readonly proposal_id: string; readonly needed: number } };

export const trustRevoke: Command = {
  words: ['trust', 'revoke'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'End trust with another organisation at once.',
  help: `Links close, nothing more is sent or accepted in either direction, shared conversations freeze, and the members of
that organisation are removed from them. One person is enough. Every partner is told and confirms with its signature.
With --watch: exit code 0 when all is in force everywhere, 2 at the deadline of the level, with what is missing.`,
  options: [...SERVER_OPTIONS, REASON, YES, EFFECTIVE, ...OFFICER_OPTIONS, ...WATCH, JSON_OPTION],
  argumentsMax: 1,
  run: async (input) => {
    const peer = domainArgument(input);
    confirm(input, peer, 'revoke', `This ends all communication with ${peer}.`);
    return await order(input, peer, '/trust/revoke', { ...effective(input) }, `Trust with ${peer} is ended`);
  },
};

export const trustSuspend: Command = {
  words: ['trust', 'suspend'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Stop trust with another organisation, until it is restored.',
  help: 'As a revocation, but nobody is removed: shared conversations freeze, and go on after norc trust restore.',
  options: [...SERVER_OPTIONS, REASON, YES, EFFECTIVE, ...OFFICER_OPTIONS, ...WATCH, JSON_OPTION],
  argumentsMax: 1,
  run: async (input) => {
    const peer = domainArgument(input);
    confirm(input, peer, 'suspend', `This stops all communication with ${peer}.`);
    return await order(input, peer, '/trust/suspend', { ...effective(input) }, `Trust with ${peer} is suspended`);
  },
};

export const trustDowngrade: Command = {
  words: ['trust', 'downgrade'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Lower the level that another organisation has here.',
  options: [
    ...SERVER_OPTIONS,
    { name: 'to', value: 'LEVEL', text: `One of ${LEVELS.join(', ')}.` },
    REASON,
    EFFECTIVE,
    ...OFFICER_OPTIONS,
    SIGN_YES,
    ...WATCH,
    JSON_OPTION,
  ],
  argumentsMax: 1,
  run: async (input) => {
    const peer = domainArgument(input);
    const level = input.options.get('to') ?? '';
    if (!LEVELS.includes(level)) {
      throw new CommandError(
        EXIT.usage,
        `'${level}' is not a trust level.`,
        `Choose one with --to: ${LEVELS.join(', ')}.`,
      );
    }
    return await order(
      input,
      peer,
      '/trust/downgrade',
      { level, ...effective(input) },
      `${peer} is at ${level} at most`,
    );
  },
};

export const trustRestore: Command = {
  words: ['trust', 'restore'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Give back what a suspension or a downgrade took.',
  help: `Needs as many officers as the level asks for, besides the one who asks with --officer.
A revocation cannot be taken back: ask for trust anew
with norc trust request DOMAIN.`,
  options: [...SERVER_OPTIONS, REASON, ...OFFICER_OPTIONS, SIGN_YES, ...WATCH, JSON_OPTION],
  argumentsMax: 1,
  run: async (input) => {
    const peer = domainArgument(input);
    return await order(input, peer, '/trust/restore', {}, `Trust with ${peer} is restored`);
  },
};

export const trustConditionMet: Command = {
  words: ['trust', 'condition-met'],
  topic: 'trust',
  arguments: 'DOMAIN NAME',
  summary: 'Say that a partner met a condition of its certificate.',
  help: `In time it takes one person; where officers sign, one officer. After the deadline,
when the condition has acted, it takes all that the level asks for.`,
  options: [...SERVER_OPTIONS, REASON, ...OFFICER_OPTIONS, SIGN_YES, ...WATCH, JSON_OPTION],
  argumentsMax: 2,
  run: async (input) => {
    const peer = domainArgument(input);
    const condition = positional(input, 1, 'NAME');
    return await order(
      input,
      peer,
      '/trust/condition-met',
      { condition },
      `${peer} has met the condition '${condition}'`,
    );
  },
};

export const trustRenew: Command = {
  words: ['trust', 'renew'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Begin the renewal of trust now; it begins by itself before the end.',
  help: 'The certificates in force stay so until the new ones are signed: nothing stops in between.',
  options: SERVER_OPTIONS,
  argumentsMax: 1,
  run: async (input) => {
    const peer = domainArgument(input);
    await (await adminClient(input)).post('/trust/renew', { peer }).catch((cause: unknown) => {
      if (!(cause instanceof AdminRefusal) || cause.code !== 'approval_required') throw cause;
      const next = `norc trust request ${peer} --level LEVEL --officer KEY`;
      throw new CommandError(
        EXIT.failure,
        'At this level an officer asks, with their own key, and others approve.',
        next,
        { cause },
      );
    });
    print(`Renewal with ${peer} has begun.`);
    hint(`norc trust show ${peer}`);
    return EXIT.ok;
  },
};

function confirm(input: CommandInput, peer: string, word: string, what: string): void {
  const reason = reasonOf(input, peer, word);
  if (input.flags.has('yes') || officerSource(input) !== undefined) return; // whoever signs is asked then
  throw new CommandError(EXIT.usage, what, `If you mean it: norc trust ${word} ${peer} --reason '${reason}' --yes`);
}

function reasonOf(input: CommandInput, peer: string, word: string): string {
  const reason = input.options.get('reason');
  if (reason !== undefined && reason !== '') return reason;
  throw new CommandError(EXIT.usage, 'This needs a reason.', `norc trust ${word} ${peer} --reason TEXT`);
}

function effective(input: CommandInput): { readonly effective_at?: number } {
  const text = input.options.get('effective');
  if (text === undefined) return {};
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new CommandError(EXIT.usage, `'${text}' is not a time.`, 'A time looks like 2026-12-01T18:00Z (UTC).');
  }
  return { effective_at: time };
}

async function order(
  input: CommandInput,
  peer: string,
  path: string,
  fields: Readonly<Record<string, string | number>>,
  done: string,
): Promise<ExitCode> {
  const reason = reasonOf(input, peer, path.slice(path.lastIndexOf('/') + 1));
  const folder = input.options.get('receipts');
  if (folder !== undefined) await receiptFolder(folder); // before anything is done that would lack them
  const home = await organisationFolder(input);
  const client = adminClientOf(home);
  const action = path.slice(path.lastIndexOf('/') + 1).replace('-', '_');
  const source = officerSource(input);
  const order = { action, reason, ...fields };
  const signed =
    source === undefined
      ? {}
      : await signOrder(input, { folder: home, client, source, peer, fields: order }).catch(explainRefusal(peer));
  const answer = await client.post<Answer>(path, { peer, reason, ...fields, ...signed }).catch(explainRefusal(peer));
  if ('proposal' in answer) return proposed(input, answer.proposal);
  const { sequence } = answer;
  const at =
    'effective_at' in fields && typeof fields['effective_at'] === 'number' ? fields['effective_at'] : undefined;
  const isWatched = input.flags.has('watch') || folder !== undefined;
  if (!input.flags.has('json')) {
    print(
      at === undefined
        ? `${done}: statement ${sequence}, in force here now.`
        : `${done} from ${utcTime(at)} UTC on: statement ${sequence}, held until then.`,
    );
  }
  if (!isWatched || at !== undefined) {
    if (input.flags.has('json')) printJson(answer);
    else hint(`norc trust show ${peer} tells how far it got`);
    return EXIT.ok;
  }
  return await watch(input, client, peer, sequence, folder);
}

function proposed(input: CommandInput, proposal: { readonly proposal_id: string; readonly needed: number }): ExitCode {
  if (input.flags.has('json')) printJson({ proposal });
  else {
    print(
      `This takes ${proposal.needed} ${proposal.needed === 1 ? 'officer' : 'officers'}: it waits for their signatures.`,
    );
    hint(`norc officer approve ${proposal.proposal_id.slice(0, 8)} --officer KEY`);
  }
  return EXIT.ok;
}

/** Tells each effect once. The server goes on by itself whatever becomes of this process. */
async function watch(
  input: CommandInput,
  client: AdminClient,
  peer: string,
  sequence: number,
  folder: string | undefined,
): Promise<ExitCode> {
  const isJson = input.flags.has('json');
  const told = new Set<string>();
  for (;;) {
    const progress = await client.get<ProgressView>('/trust/progress', { sequence });
    for (const effect of effectsOf(progress)) {
      if (told.has(effect.key)) continue;
      told.add(effect.key);
      if (!isJson) print(effectLine(effect));
    }
    if (progress.state !== 'spreading') {
      if (folder !== undefined) await keepReceipts(client, sequence, folder);
      return conclude(progress, peer, isJson);
    }
    await delay(POLL_MS);
  }
}

/** 0 when all is in force everywhere, 2 when the deadline came before that. */
export function conclude(progress: ProgressView, peer: string, isJson: boolean): ExitCode {
  const isIn = progress.state === 'enforced';
  if (isJson) {
    printJson(progress);
    return isIn ? EXIT.ok : EXIT.timeout;
  }
  if (progress.figures !== undefined) print(`Confirmations: ${figuresText(progress.figures)}`);
  const subject = progress.servers.find((one) => one.role === 'subject');
  if (subject !== undefined && subject.state !== 'confirmed') {
    print(`${peer} itself has not confirmed. Nobody waits for it: it is cut off whatever it does.`);
  }
  if (isIn) {
    print('All is in force.');
    return EXIT.ok;
  }
  print('The deadline has come. Not confirmed:', ...missingOf(progress).map((text) => `  ${text}`));
  hint(`it goes on by itself: norc trust show ${peer}`);
  return EXIT.timeout;
}

async function receiptFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw new CommandError(EXIT.cannotCreate, `${folder} cannot be made.`, 'Name another folder.', { cause });
  });
}

async function keepReceipts(client: AdminClient, sequence: number, folder: string): Promise<void> {
  const { files } = await client.get<{ files: readonly { name: string; document: string }[] }>('/trust/receipts', {
    sequence,
  });
  for (const { name, document } of files) {
    await writeFile(join(folder, fileName(name)), fromBase64Url(document) ?? new Uint8Array(), { mode: 0o600 });
  }
  note(`${files.length} receipts are in ${folder}.`);
}

/** Names come from our own server; none may leave the folder all the same. */
export function fileName(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9._-]/g, '_').replace(/^\.+/, '_');
}

function explainRefusal(peer: string): (cause: unknown) => never {
  return (cause) => {
    if (cause instanceof AdminRefusal && cause.code === 'approval_required') {
      throw new CommandError(
        EXIT.failure,
        cause.message,
        'the same command with --officer KEY; norc officer list shows who may sign',
        { cause },
      );
    }
    if (cause instanceof AdminRefusal && cause.code === 'not_trusted') {
      throw new CommandError(
        EXIT.failure,
        `There is nothing to say it about: ${cause.message}`,
        `norc trust show ${peer}`,
        { cause },
      );
    }
    throw cause;
  };
}
