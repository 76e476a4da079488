import { writeFile } from 'node:fs/promises';
import { type Command, CommandError, EXIT } from '../command.ts';
import { note, print, printJson } from '../output.ts';
import { graphSvg, type TrustGraph } from '../trust/graph-svg.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, utcTime } from './shared.ts';

export const trustGraph: Command = {
  words: ['trust', 'graph'],
  topic: 'trust',
  arguments: '',
  summary: 'Draw who is trusted, and how far.',
  options: [
    ...SERVER_OPTIONS,
    { name: 'svg', value: 'FILE', text: 'Write a picture there, for a browser.' },
    JSON_OPTION,
  ],
  async run(input) {
    const graph = await (await adminClient(input)).get<TrustGraph>('/trust/graph');
    const file = input.options.get('svg');
    if (file !== undefined) {
      await writeFile(file, graphSvg(graph)).catch((cause: unknown) => {
        throw new CommandError(EXIT.cannotCreate, `${file} cannot be written.`, 'Name another file.', { cause });
      });
      note(`The picture is in ${file}.`);
    }
    if (input.flags.has('json')) printJson(graph);
    else print(...textGraph(graph));
    return EXIT.ok;
  },
};

/** One line for each partner; the line's look says what holds. */
export function textGraph({ self, edges }: TrustGraph): readonly string[] {
  if (edges.length === 0) return [self, '  no partners yet'];
  const width = Math.max(...edges.map(({ peer }) => peer.length));
  return [
    self,
    ...edges.map(({ peer, level, state, not_after: notAfter }, i) => {
      const branch = i === edges.length - 1 ? '└' : '├';
      const isOpen = state === 'in_force';
      const until = notAfter === undefined ? '' : `, until ${utcTime(notAfter)} UTC`;
      const words = isOpen ? `${level}${until}` : state.replaceAll('_', ' ');
      return `${branch}${isOpen ? '────────' : '── ✕ ───'} ${peer.padEnd(width)}  ${words}`;
    }),
  ];
}
