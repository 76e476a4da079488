import { ConfigError, describeProblem } from '@norc/server';
import { type Command, type CommandInput, EXIT } from '../command.ts';
import { PROFILE_OPTION, profileFolder } from '../device/profile.ts';
import { type Finding, fail, ok } from '../doctor/finding.ts';
import { checkMachine } from '../doctor/machine.ts';
import { checkProfile } from '../doctor/profile.ts';
import { checkServer } from '../doctor/server.ts';
import { print, printJson, printStyled } from '../output.ts';
import { CONFIG_OPTION, DATA_OPTION, serverSettings } from '../server/settings.ts';
import { JSON_OPTION } from './shared.ts';

export const doctor: Command = {
  words: ['doctor'],
  topic: 'look',
  arguments: '',
  summary: 'Check this machine, the configuration, the data and the links.',
  help: 'Changes nothing. Exit code 0 when nothing fails, 1 otherwise; warnings do not count.',
  options: [CONFIG_OPTION, DATA_OPTION, PROFILE_OPTION, JSON_OPTION],
  async run(input) {
    const findings = [
      ...checkMachine(),
      ...(await serverFindings(input)),
      ...(await checkProfile(profileFolder(input))),
    ];
    if (input.flags.has('json')) printJson(findings);
    else printFindings(findings);
    const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length;
    if (!input.flags.has('json')) print('', `${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} failed.`);
    return count('fail') === 0 ? EXIT.ok : EXIT.failure;
  },
};

async function serverFindings(input: CommandInput): Promise<readonly Finding[]> {
  try {
    const { config, development } = await serverSettings(input);
    const words = development ? 'none: the settings for trying things out' : 'every setting is right';
    return [ok('Configuration', words), ...(await checkServer(config))];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) =>
      fail('Configuration', describeProblem(problem), 'docs/configuration.md explains each setting.'),
    );
  }
}

const LOOKS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;
const STATE_WIDTH = 4;
const GAP = '  ';

function printFindings(findings: readonly Finding[]): void {
  const width = Math.max(...findings.map(({ what }) => what.length));
  for (const { state, what, detail, next } of findings) {
    printStyled([LOOKS[state], state.padEnd(STATE_WIDTH)], GAP, what.padEnd(width), GAP, detail);
    if (next !== undefined) print(`${' '.repeat(STATE_WIDTH + width)}${GAP}${GAP}${next}`);
  }
}
