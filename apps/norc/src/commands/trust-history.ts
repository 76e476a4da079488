import { type Command, countOption, EXIT } from '../command.ts';
import { note, printJson, printTable } from '../output.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, utcTime } from './shared.ts';
import { domainArgument } from './trust-partner.ts';

const LENGTH = 50;

interface HistoryEvent {
  readonly sequence: number;
  readonly time: number;
  readonly type: string;
  readonly actor: string;
  readonly subject: string;
  readonly outcome: string;
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
}

export const trustHistory: Command = {
  words: ['trust', 'history'],
  topic: 'trust',
  arguments: '[DOMAIN]',
  summary: 'Show what happened to trust, with one partner or with all.',
  help: 'From the audit log: what was asked, approved, agreed, said, confirmed, and what acted by itself.',
  options: [
    ...SERVER_OPTIONS,
    { name: 'limit', value: 'N', text: `How many entries (default: ${LENGTH}).` },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const peer = input.positionals.length === 0 ? {} : { peer: domainArgument(input) };
    const limit = countOption(input, 'limit', LENGTH, 1);
    const client = await adminClient(input);
    const { events } = await client.get<{ events: readonly HistoryEvent[] }>('/trust/history', { limit, ...peer });
    if (input.flags.has('json')) printJson(events);
    else if (events.length === 0) note('Nothing yet.');
    else
      printTable(
        ['TIME (UTC)', 'WHAT', 'BY', 'ABOUT', 'DETAIL'],
        events.map((one) => [
          utcTime(one.time),
          whatText(one),
          partyText(one.actor),
          partyText(one.subject),
          detailText(one),
        ]),
      );
    return EXIT.ok;
  },
};

function whatText({ type, outcome }: HistoryEvent): string {
  const words = type.replaceAll('_', ' ');
  return outcome === 'ok' ? words : `${words} (${outcome})`;
}

/** Organisations by name; people are pseudonyms in the log. */
function partyText(party: string): string {
  const colon = party.indexOf(':');
  const [kind, id] = [party.slice(0, colon), party.slice(colon + 1)];
  return kind === 'org' ? id : `${kind} ${id.slice(0, 8)}`;
}

function detailText({ detail }: HistoryEvent): string {
  return Object.entries(detail ?? {})
    .filter(([name]) => name !== 'certificate_id')
    .map(
      ([name, value]) =>
        `${name}=${TIMES.has(name) && typeof value === 'number' ? utcTime(value).replace(' ', 'T') : value}`,
    )
    .join(' ');
}

const TIMES: ReadonlySet<string> = new Set(['effective_at', 'not_after', 'since']);
