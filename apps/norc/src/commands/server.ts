import { relative } from 'node:path';
import { fingerprintText } from '@norc/protocol/crypto';
import { type RunningServer, SERVER_VERSION } from '@norc/server';
import { type Command, EXIT } from '../command.ts';
import { type Fact, fingerprintLines, hint, note, print, printFacts, printStyled } from '../output.ts';
import { runServer, type StartFacts } from '../server/run-server.ts';
import { CONFIG_OPTION, DATA_OPTION, serverSettings } from '../server/settings.ts';

export const server: Command = {
  words: ['server'],
  topic: 'begin',
  arguments: '',
  summary: 'Run a server.',
  help: `Without a configuration this is a server for trying things out: it listens on 127.0.0.1:8080, keeps its data
below .norc/server, and makes the organisation dev.example where there is none.
For real use: norc org init DOMAIN, then a norc.toml (docs/configuration.md).
It runs in the foreground. Ctrl-C or SIGTERM finishes what is under way and stops it.`,
  options: [
    CONFIG_OPTION,
    DATA_OPTION,
    { name: 'domain', value: 'DOMAIN', text: 'The organisation, in place of the configured ones.' },
    { name: 'listen', value: 'HOST:PORT', text: 'Where devices connect. Port 0 takes a free one.' },
    { name: 'federation', value: 'HOST:PORT', text: 'Where servers of other organisations connect.' },
    { name: 'json', text: 'Print one line of JSON when it is ready, for programs.' },
    { name: 'until-input-ends', text: 'Also stop when standard input ends, for programs that start a server.' },
  ],
  async run(input) {
    const json = input.flags.has('json');
    await runServer({
      ...(await serverSettings(input)),
      untilInputEnds: input.flags.has('until-input-ends'),
      onReady: (running, facts) => (json ? printReady(running) : printWelcome(running, facts)),
      onStopping: () => (json ? undefined : note('Stopping: what is under way is finished first.')),
    });
    if (!json) note('Stopped.');
    return EXIT.ok;
  },
};

/** On one line: a program reads it with its first line. */
function printReady({ deviceAddress, federationAddress, organisations }: RunningServer): void {
  const ready = {
    ready: true,
    version: SERVER_VERSION,
    device_address: deviceAddress,
    federation_address: federationAddress ?? null,
    organisations: organisations.map(({ domain, folder, rootFingerprint }) => ({
      ...{ domain, folder },
      root_fingerprint: fingerprintText(rootFingerprint),
    })),
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

function printWelcome(running: RunningServer, { created, log }: StartFacts): void {
  const { organisations, deviceAddress, federationAddress } = running;
  printStyled(['bold', `NORC server ${SERVER_VERSION} is running.`]);
  for (const { domain, folder, rootFingerprint } of organisations) {
    const isNew = created.includes(domain);
    const facts: Fact[] = [
      ['Organisation', isNew ? `${domain} (new: its keys were just made)` : domain],
      ['Root fingerprint', fingerprintLines(fingerprintText(rootFingerprint))],
      ['Data', shortPath(folder)],
    ];
    print('');
    printFacts(facts);
  }
  print('');
  printFacts([
    ['Devices', `${addressText(deviceAddress)}${deviceAddress.tls ? ', TLS 1.3' : ', without TLS'}`],
    ['Other servers', federationAddress === undefined ? 'off' : addressText(federationAddress)],
    ['Log', shortPath(log.place)],
    ['Stop', 'Ctrl-C'],
  ]);
  print('');
  const isUsual = deviceAddress.port === 8080 && deviceAddress.host === '127.0.0.1';
  if (created.length > 0 && isUsual) hint('npm run client, in a second terminal');
  else hint(`norc user add NAME@${organisations[0]?.domain ?? 'DOMAIN'}`);
}

export function addressText({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** From where the person stands, when that is shorter. */
export function shortPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near !== '' && near.length < path.length && !near.startsWith('..') ? near : path;
}
