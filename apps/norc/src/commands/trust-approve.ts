import { nodeClock } from '@norc/crypto/node';
import type { AdminClient } from '../admin-client.ts';
import { type Command, CommandError, type CommandInput, EXIT } from '../command.ts';
import { type Grant, type GrantDocuments, openGrant } from '../officer/grant.ts';
import {
  EVIDENCE_HEAD,
  evidenceRows,
  type FindingView,
  grantFacts,
  quoted,
  type ScoreView,
  scoreText,
} from '../officer/grant-words.ts';
import { OFFICER_OPTIONS, type OfficerKeySource, officerSource } from '../officer/key.ts';
import { pinnedOrganisation, signApproval } from '../officer/sign-approval.ts';
import { factLines, hint, note, print, tableLines } from '../output.ts';
import { askingOnTerminal, askYes } from '../terminal/prompt.ts';
import { adminClientOf, organisationFolder, SERVER_OPTIONS } from './shared.ts';
import {
  CONFIRM_MS,
  explainNothingWaits,
  follow,
  type NegotiationView,
  printNegotiation,
  QUIET_MS,
  tellFirstContact,
} from './trust-follow.ts';
import { domainArgument, LEVELS } from './trust-partner.ts';
import { levelOption } from './trust-request.ts';
import { parsedDomain } from './trust-terms.ts';

/** What waits for officers about a partner, as the admin interface tells it. */
interface QuestionView extends GrantDocuments {
  readonly peer: string;
  readonly level: string;
  readonly signed: boolean;
  /** Still missing. */
  readonly needed: number;
  readonly approved_by: readonly string[];
  readonly requested_by?: string;
  readonly note?: string;
  readonly missing: readonly string[];
  readonly evidence: readonly FindingView[];
  readonly score: ScoreView;
  readonly opens: { readonly label: string; readonly people: number; readonly conversations: number };
}

interface Scene {
  readonly input: CommandInput;
  readonly folder: string;
  readonly client: AdminClient;
  readonly peer: string;
}

const YES_OPTION = { name: 'yes', text: 'You read what you sign. Nothing is asked.' };

export const trustApprove: Command = {
  words: ['trust', 'approve'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: "Approve another organisation's request.",
  help: `Before you approve: compare the root fingerprint that norc trust show DOMAIN prints with the one that the other
organisation tells you over another channel (they see theirs with: norc org show).

At levels that need officers, each one signs with a key of their own, with --officer: what is signed is shown first.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'level', value: 'LEVEL', text: `Approve less than was asked for: one of ${LEVELS.join(', ')}.` },
    ...OFFICER_OPTIONS,
    YES_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const folder = await organisationFolder(input);
    const scene = { input, folder, peer, client: adminClientOf(folder) };
    const source = officerSource(input);
    await tellFirstContact(scene.client, peer);
    const after = source === undefined ? await approveUnsigned(scene) : await approveSigned(scene, source);
    if (after.state === 'awaiting_approval') return stillWaiting(peer, after);
    // Officers of the other side may take days: nobody is kept for them.
    const signed = after.approvals?.signed === true;
    const partner = await follow(scene.client, peer, isDecided, signed ? QUIET_MS : CONFIRM_MS);
    printNegotiation(partner, nodeClock.now());
    if (partner.exchange_id === undefined) return partner.refusal === undefined ? EXIT.ok : EXIT.failure;
    hint(`your approval stands; norc trust show ${peer} says when the other side has countersigned`);
    return signed ? EXIT.ok : EXIT.timeout;
  },
};

const isDecided = ({ exchange_id: open, state }: NegotiationView): boolean =>
  open === undefined || state === 'awaiting_approval';

function stillWaiting(peer: string, partner: NegotiationView) {
  printNegotiation(partner, nodeClock.now());
  const { given = [], needed = 0 } = partner.approvals ?? {};
  print(`Your approval is recorded: ${given.length} of ${needed}.`);
  hint(`another officer approves it too: norc trust approve ${peer} --officer KEY`);
  return EXIT.ok;
}

async function questionOf({ client, peer }: Scene): Promise<QuestionView> {
  return await client.get<QuestionView>('/trust/question', { peer }).catch(explainNothingWaits(peer));
}

/** Where no officer has to sign: whoever may open the admin socket approves. */
async function approveUnsigned({ input, client, peer }: Scene): Promise<NegotiationView> {
  const question = await questionOf({ input, client, peer, folder: '' });
  const level = levelOption(input);
  if (question.signed && (level === undefined || level === question.level)) {
    throw new CommandError(
      EXIT.failure,
      `Trust with ${peer} at level ${question.level} is approved by officers, each with their own key: ${question.needed} more.`,
      `norc trust approve ${peer} --officer KEY (norc officer list shows who they are)`,
    );
  }
  const fields = { peer, ...(level === undefined ? {} : { level }) };
  return await client.post<NegotiationView>('/trust/approve', fields).catch(explainNothingWaits(peer));
}

/** Shows what the documents say, signs them, hands the signature over. */
async function approveSigned(scene: Scene, source: OfficerKeySource): Promise<NegotiationView> {
  const { input, client, folder, peer } = scene;
  const question = await atLevel(scene, await questionOf(scene));
  const grant = openGrant(question, await pinnedOrganisation(folder), parsedDomain(peer), levelOption(input));
  showGrant(question, grant);
  if (!input.flags.has('yes') && !(await askYes(askingOnTerminal, 'Sign this?', '--yes')))
    throw new CommandError(EXIT.interrupted, 'Stopped. Nothing was signed.');
  const draft = { folder, client, action: 'trust_grant', subject: grant.subject, peer: parsedDomain(peer) } as const;
  const { fields } = await signApproval(source, draft);
  return await client.post<NegotiationView>('/trust/approve', { peer, ...fields });
}

/** Another level makes other certificates, which have to be drafted before they can be signed. */
async function atLevel(scene: Scene, question: QuestionView): Promise<QuestionView> {
  const level = levelOption(scene.input);
  if (level === undefined || level === question.level) return question;
  if (!question.signed)
    throw new CommandError(EXIT.usage, `A signature is not needed at ${question.level}.`, 'Leave --officer out.');
  note(
    `This lowers what is offered from ${question.level} to ${level}; what others signed for ${question.level} is void.`,
  );
  await scene.client.post('/trust/approve', { peer: scene.peer, level });
  return await questionOf(scene);
}

function showGrant(question: QuestionView, grant: Grant): void {
  const { opens, score, evidence, missing } = question;
  note(`You are about to sign: trust with ${question.peer} at level ${grant.given.level}.`);
  const requested =
    question.requested_by === undefined ? [] : [['Asked by', `officer ${question.requested_by}`] as const];
  const people = opens.people === 1 ? '1 person here' : `${opens.people} people here`;
  const lines = factLines([
    ...grantFacts(grant),
    [
      'It would open',
      `${people} could exchange up to ${opens.label}; conversations shared so far: ${opens.conversations}`,
    ],
    ['Score', scoreText(score)],
    ...(missing.length === 0 ? [] : [['Missing', missing.join(', ')] as const]),
    ...requested,
    ['Signed so far', `${question.approved_by.length}; ${question.needed} more needed`],
    ...(question.note === undefined ? [] : [['Note', quoted(question.note)] as const]),
  ]);
  for (const line of lines) note(line);
  for (const line of tableLines(EVIDENCE_HEAD, evidenceRows(evidence, nodeClock.now(), grant.given))) note(`  ${line}`);
  note('Compare their root key with what they tell you over another channel, such as a call.');
}

export const trustDecline: Command = {
  words: ['trust', 'decline'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: "Decline another organisation's request.",
  options: [...SERVER_OPTIONS, { name: 'reason', value: 'TEXT', text: 'Told to the other side.' }, ...OFFICER_OPTIONS],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const reason = input.options.get('reason') ?? 'declined';
    const folder = await organisationFolder(input);
    const scene = { input, folder, peer, client: adminClientOf(folder) };
    const source = officerSource(input);
    const signed = source === undefined ? {} : await signDecline(scene, source);
    const declined = scene.client.post<NegotiationView>('/trust/decline', { peer, reason, ...signed });
    printNegotiation(await declined.catch(explainNothingWaits(peer)), nodeClock.now());
    return EXIT.ok;
  },
};

async function signDecline(scene: Scene, source: OfficerKeySource) {
  const { client, folder, peer } = scene;
  const grant = openGrant(await questionOf(scene), await pinnedOrganisation(folder), parsedDomain(peer));
  const { subject } = grant;
  const draft = { folder, client, action: 'trust_decline', subject, peer: parsedDomain(peer) } as const;
  return (await signApproval(source, draft)).fields;
}
