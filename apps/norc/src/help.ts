import type { Command, OptionHelp, Topic } from './command.ts';

const TOPICS: Readonly<Record<Topic, string>> = {
  begin: 'Begin',
  server: 'Run a server',
  people: 'People and devices',
  trust: 'Other organisations',
  look: 'Look after it',
};

/** Of every command. */
export const HELP_OPTION: OptionHelp = { name: 'help', text: 'Show this help.' };

/** `trust request DOMAIN` */
export function usageOf(command: Command): string {
  return [...command.words, command.arguments].filter((part) => part !== '').join(' ');
}

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => usageOf(command).length));
  const sections = Object.entries(TOPICS).map(([topic, title]) => {
    const rows = commands
      .filter((command) => command.topic === topic)
      .map((command) => `  norc ${usageOf(command).padEnd(width)}  ${command.summary}\n`);
    return `${title}\n${rows.join('')}`;
  });
  return `NORC: secure communication between organisations.

${sections.join('\n')}
Each command explains itself: norc COMMAND --help. Exit codes: docs/commands.md.
`;
}

export function familyHelp(family: readonly Command[]): string {
  return family.map((command) => `  norc ${usageOf(command)}\n      ${command.summary}\n`).join('');
}

export function commandHelp(command: Command): string {
  const options = [...command.options, HELP_OPTION];
  const label = ({ name, value }: OptionHelp) => `--${name}${value === undefined ? '' : ` ${value}`}`;
  const width = Math.max(...options.map((option) => label(option).length));
  const rows = options.map((option) => `  ${label(option).padEnd(width)}  ${option.text}\n`).join('');
  const long = command.help === undefined ? '' : `\n${command.help.trim()}\n`;
  return `norc ${usageOf(command)} [options]\n\n${command.summary}\n${long}\nOptions:\n${rows}`;
}
