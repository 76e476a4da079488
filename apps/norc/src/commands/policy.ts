import { nodeCrypto } from '@norc/crypto/node';
import { fromBase64Url, sameBytes, toBase64Url, toHex } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import {
  comparePolicies,
  defaultPolicy,
  POLICY_CHANGE,
  policyDocument,
  policyFromBody,
  policyHash,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { ConfigError, loadTrustPolicy } from '@norc/server';
import type { AdminClient } from '../admin-client.ts';
import { type Command, CommandError, type CommandInput, EXIT, type ExitCode, positional } from '../command.ts';
import { OFFICER_OPTIONS, officerSource } from '../officer/key.ts';
import { signApproval } from '../officer/sign-approval.ts';
import { hint, note, print, printFacts, printJson } from '../output.ts';
import { askingOnTerminal, askYes } from '../terminal/prompt.ts';
import { type ChangeView, loosens, type PlanView, printChanges, printPlan, shortHash } from './policy-words.ts';
import { adminClient, adminClientOf, JSON_OPTION, organisationFolder, SERVER_OPTIONS, utcTime } from './shared.ts';

interface ShownPolicy {
  readonly number: number;
  readonly hash: string;
  readonly at?: number;
  readonly actor?: string;
  readonly source: 'built-in' | 'file' | 'officers';
  readonly policy: object;
  readonly differs_from_default: readonly ChangeView[];
  readonly file?: { readonly changes: readonly ChangeView[]; readonly fault?: string };
}

const SOURCES: Readonly<Record<ShownPolicy['source'], string>> = {
  'built-in': 'the built-in policy; nothing was applied yet',
  file: 'the configured file, at the first start',
  officers: 'norc policy apply',
};

export const policyShow: Command = {
  words: ['policy', 'show'],
  topic: 'trust',
  arguments: '',
  summary: 'Show the trust policy in force.',
  help: 'What differs from the built-in policy, and whether the configured file says something else. --json has all of it.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const shown = await (await adminClient(input)).get<ShownPolicy>('/policy');
    if (input.flags.has('json')) printJson(shown);
    else printShown(shown);
    return EXIT.ok;
  },
};

function printShown({ number, hash, at, source, differs_from_default: changes, file }: ShownPolicy): void {
  print(`Policy ${number}`);
  printFacts([
    ['Hash', shortHash(hash)],
    ...(at === undefined ? [] : [['Since', `${utcTime(at)} UTC`] as const]),
    ['From', SOURCES[source]],
  ]);
  print('', changes.length === 0 ? 'It is the built-in policy.' : 'Compared with the built-in policy:');
  printChanges(changes);
  if (file?.fault !== undefined) note(`The configured file cannot be read: ${file.fault}`);
  if (file !== undefined && file.changes.length > 0) {
    note(`The configured file says something else (${file.changes.length} changes). What is in force is this.`);
    hint('norc policy plan FILE');
  }
}

export const policyCheck: Command = {
  words: ['policy', 'check'],
  topic: 'trust',
  arguments: 'FILE',
  summary: 'Check a policy file. Needs no server.',
  help: 'Every problem is named with its line. Exit code 0 when it could be applied, 78 when not.',
  options: [JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const file = positional(input, 0, 'FILE');
    const policy = readPolicy(file);
    const hash = toHex(policyHash(nodeCrypto, policy));
    const changes = comparePolicies(defaultPolicy(), policy);
    if (input.flags.has('json')) {
      printJson({ hash, policy: policyDocument(policy).json, differs_from_default: changes });
      return EXIT.ok;
    }
    print(`${file} is sound.`);
    printFacts([['Hash', shortHash(hash)]]);
    print('', changes.length === 0 ? 'It is the built-in policy.' : 'Compared with the built-in policy:');
    printChanges(changes);
    hint(`norc policy plan ${file}`);
    return EXIT.ok;
  },
};

function readPolicy(file: string): TrustPolicy {
  try {
    return loadTrustPolicy(file);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    const message = cause.message.replace('a setting is wrong', 'A setting is wrong');
    throw new CommandError(EXIT.badConfig, message, 'docs/trust-policy.md explains each setting.', { cause });
  }
}

export const policyPlan: Command = {
  words: ['policy', 'plan'],
  topic: 'trust',
  arguments: '[FILE]',
  summary: 'Show what a policy file would open, close, downgrade or hold.',
  help: `Changes nothing. It is computed over the partners, conversations and requests of now, and replayed over the decisions
of the last 30 days. Exit code 0 when it opens nothing, 3 when it does. With --proposal, of a policy that waits for
officers.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'proposal', value: 'ID', text: 'In place of FILE: a change that waits for officers.' },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const proposal = input.options.get('proposal');
    // A file is read first: what is wrong with it needs no server.
    const file = proposal === undefined ? readPolicy(positional(input, 0, 'FILE')) : undefined;
    const client = await adminClient(input);
    const policy = file ?? (await proposedPolicy(client, proposal ?? ''));
    const plan = await planOf(client, policy);
    if (input.flags.has('json')) printJson(plan);
    else printWholePlan(plan, input.positionals[0]);
    return opensAnything(plan) ? EXIT.wouldOpen : EXIT.ok;
  },
};

const opensAnything = ({ opens, changes }: PlanView): boolean => opens || loosens(changes);

async function proposedPolicy(client: AdminClient, id: string): Promise<TrustPolicy> {
  const { proposals } = await client.get<{ proposals: readonly { proposal: string; action: string }[] }>('/proposals');
  const [found, second] = proposals.filter((one) => one.action === 'policy_apply' && one.proposal.startsWith(id));
  if (found === undefined || second !== undefined) {
    throw new CommandError(EXIT.usage, `${id} is not one policy that waits for officers.`, 'norc proposals');
  }
  const { document } = await client.get<{ document: string }>('/proposals/document', { proposal: found.proposal });
  const change = parseDocument(POLICY_CHANGE, fromBase64Url(document) ?? new Uint8Array());
  if (!change.ok) throw new CommandError(EXIT.badData, 'What waits there is no policy that this version knows.');
  return policyFromBody(change.value.body.policy);
}

async function planOf(client: AdminClient, policy: TrustPolicy): Promise<PlanView> {
  return await client.post<PlanView>('/policy/plan', { policy: toBase64Url(policyDocument(policy).bytes) });
}

function printWholePlan(plan: PlanView, file: string | undefined): void {
  if (plan.changes.length === 0) {
    print(`It is the policy in force, policy ${plan.number}: nothing changes.`);
    return;
  }
  print(`Policy ${plan.number} is in force; this would be policy ${plan.number + 1} (${shortHash(plan.after)}).`, '');
  printPlan(plan);
  print('', verdict(plan));
  if (file !== undefined) hint(`norc policy apply ${file}${loosens(plan.changes) ? ' --officer KEY' : ''}`);
}

function verdict(plan: PlanView): string {
  const people = `${plan.people} ${plan.people === 1 ? 'person has' : 'people have'} a device here.`;
  if (!loosens(plan.changes)) return `It loosens nothing: one person can apply it. ${people}`;
  const now = plan.opens ? 'It opens something' : 'It loosens the policy, though it opens nothing that exists now';
  return `${now}: two officers have to sign it. ${people}`;
}

export const policyApply: Command = {
  words: ['policy', 'apply'],
  topic: 'trust',
  arguments: 'FILE',
  summary: 'Put a policy file in force.',
  help: `Shows the plan, asks, and applies it. What only tightens takes effect at once; what loosens anything waits until two
officers have signed it: you, with --officer, and another one with norc officer approve. Links of partners that are
trusted no longer are cut and their conversations frozen before the command returns.`,
  options: [
    ...SERVER_OPTIONS,
    ...OFFICER_OPTIONS,
    { name: 'yes', text: 'You read the plan. Nothing is asked.' },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const file = positional(input, 0, 'FILE');
    const policy = readPolicy(file);
    const folder = await organisationFolder(input);
    const client = adminClientOf(folder);
    const plan = await planOf(client, policy);
    if (plan.changes.length === 0) return unchanged(plan, input);
    if (!input.flags.has('json')) printWholePlan(plan, undefined);
    await confirm(input);
    const source = officerSource(input);
    const subject = nodeCrypto.blake3(checkedChange(plan, policy));
    const signed =
      source === undefined
        ? undefined
        : await signApproval(source, { folder, client, action: 'policy_apply', subject });
    const outcome = await client.post<Outcome>('/policy/apply', {
      ...{ policy: toBase64Url(policyDocument(policy).bytes), number: plan.number, plan: plan.plan },
      ...signed?.fields,
    });
    if (input.flags.has('json')) printJson(outcome);
    else printOutcome(outcome);
    return EXIT.ok;
  },
};

type Outcome =
  | { readonly state: 'unchanged' | 'applied'; readonly number: number }
  | {
      readonly state: 'waiting';
      readonly proposal: string;
      readonly needed: number;
      readonly approved_by: readonly string[];
      readonly requested_by?: string;
    };

function unchanged({ number }: PlanView, { flags }: CommandInput): ExitCode {
  if (flags.has('json')) printJson({ state: 'unchanged', number });
  else print(`Policy ${number} is in force and says the same: nothing was changed.`);
  return EXIT.ok;
}

async function confirm({ flags }: CommandInput): Promise<void> {
  if (flags.has('yes') || (await askYes(askingOnTerminal, 'Apply this policy?', '--yes'))) return;
  throw new CommandError(EXIT.interrupted, 'Stopped. Nothing was changed.');
}

/** What would be signed, checked here: it is this file's policy, after the policy that the plan was made against. */
function checkedChange({ change, number, before, plan }: PlanView, policy: TrustPolicy): Uint8Array {
  const bytes = fromBase64Url(change) ?? new Uint8Array();
  const parsed = parseDocument(POLICY_CHANGE, bytes);
  const body = parsed.ok ? parsed.value.body : undefined;
  const same =
    body !== undefined &&
    body.number === number + 1 &&
    toHex(body.previous) === before &&
    toBase64Url(body.plan) === plan &&
    sameBytes(policyDocument(policyFromBody(body.policy)).bytes, policyDocument(policy).bytes);
  if (same) return bytes;
  throw new CommandError(
    EXIT.badData,
    'The server asks for a signature on another policy than this file.',
    'norc doctor',
  );
}

function printOutcome(outcome: Outcome): void {
  if (outcome.state !== 'waiting') {
    print('', `Policy ${outcome.number} is in force.`);
    return;
  }
  const id = outcome.proposal.slice(0, 8);
  const signed = outcome.approved_by.length + (outcome.requested_by === undefined ? 0 : 1);
  const more = outcome.needed - outcome.approved_by.length;
  print(
    '',
    `It waits for officers: ${signed} signed, ${more} more ${more === 1 ? 'is' : 'are'} needed (proposal ${id}).`,
  );
  hint(
    `another officer looks at it with norc policy plan --proposal ${id}, then: norc officer approve ${id} --officer KEY`,
  );
}

interface HistoryView {
  readonly policies: readonly {
    readonly number: number;
    readonly at: number;
    readonly source: 'file' | 'officers';
    readonly approvals: readonly string[];
    readonly changes: readonly ChangeView[];
    readonly plan_changed: boolean;
  }[];
}

export const policyHistory: Command = {
  words: ['policy', 'history'],
  topic: 'trust',
  arguments: '',
  summary: 'List the policies that were in force, and what each changed.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const { policies } = await (await adminClient(input)).get<HistoryView>('/policy/history');
    if (input.flags.has('json')) printJson(policies);
    else if (policies.length === 0) note('No policy was applied yet: the built-in one is in force.');
    for (const one of input.flags.has('json') ? [] : policies) printHistoric(one);
    return EXIT.ok;
  },
};

function printHistoric({
  number,
  at,
  source,
  approvals,
  changes,
  plan_changed,
}: HistoryView['policies'][number]): void {
  const officers =
    approvals.length === 0
      ? 'through the admin socket'
      : `${approvals.length} ${approvals.length === 1 ? 'officer' : 'officers'} signed`;
  const who = source === 'file' ? 'the configured file, at the first start' : officers;
  print(`Policy ${number}, ${utcTime(at)} UTC: ${who}`);
  for (const { effect, sentence } of changes) print(`  ${effect.padEnd(8)}  ${sentence}`);
  if (plan_changed) print('  What it opened had changed while officers signed.');
}
