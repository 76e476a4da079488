import { join, resolve } from 'node:path';
import { parseDomain } from '@norc/protocol/base';
import { fingerprintText } from '@norc/protocol/crypto';
import { type Command, CommandError, type CommandInput, EXIT, type ExitCode } from '../command.ts';
import { answerOn } from '../demo/answering.ts';
import { type Cast, playConversation } from '../demo/conversation.ts';
import { type DemoDevice, type DeviceOrder, enrollDemoDevice } from '../demo/devices.ts';
import { freshFolder, profilePath } from '../demo/folder.ts';
import { createSide } from '../demo/organisations.ts';
import { showServerViews } from '../demo/server-view.ts';
import { type Pair, type RunningSide, startServers } from '../demo/servers.ts';
import { durationText, Stage, timed } from '../demo/stage.ts';
import { agreeOnTrust } from '../demo/trust.ts';
import { DemoError } from '../demo/wait.ts';
import { suiteWords } from '../device/open-device.ts';
import { note, print, printStyled } from '../output.ts';
import { ChildServerError } from '../server/child-server.ts';
import { stopRequest } from '../server/stop-request.ts';
import { shortPath } from './server.ts';
import { utcTime } from './shared.ts';

const WHO_WIDTH = 26;
const DEFAULT_FOLDER = join('.norc', 'demo');

export const demo: Command = {
  words: ['demo'],
  topic: 'begin',
  arguments: '',
  summary: 'See it work: two organisations, from keys to messages.',
  help: `Starts alpha.example and bravo.example as two servers on this machine, lets them agree on trust, enrolls three devices,
plays a short conversation across the border, and shows what the servers could see of it. Nothing is simulated.
Then it stays, so that you can join with norc chat, until Ctrl-C. The folder is made anew by each run.`,
  options: [
    { name: 'once', text: 'End after the script: exit code 0 when every step worked, 1 when one failed.' },
    { name: 'data', value: 'FOLDER', text: `Where everything is kept (default: ${DEFAULT_FOLDER}).` },
  ],
  async run(input) {
    const stop = stopRequest({ untilInputEnds: false });
    const show = new Show(resolve(input.options.get('data') ?? DEFAULT_FOLDER));
    try {
      const outcome = await Promise.race([play(show, input), stop.promise.then(() => 'stopped' as const)]);
      if (outcome === 'stopped') throw new CommandError(EXIT.interrupted, 'Stopped before the end.');
      if (outcome === 'stay') {
        await stop.promise;
        note('Stopping both servers.');
      }
      return EXIT.ok;
    } catch (error) {
      throw explain(error, show.folder);
    } finally {
      await show.close();
      stop.close();
    }
  },
};

/** What has to be ended again. */
class Show {
  readonly folder: string;
  readonly stage = new Stage();
  readonly devices: DemoDevice[] = [];
  sides: Pair<RunningSide> | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  async device(order: Omit<DeviceOrder, 'folder'>): Promise<DemoDevice> {
    const { value: device, ms } = await timed(() => enrollDemoDevice({ ...order, folder: this.folder }));
    this.devices.push(device);
    const who = `${device.client.self.user}  ${device.name}`.padEnd(WHO_WIDTH);
    this.stage.say(`${who}  enrolled, transcript ${device.facts.transcript}`, ms);
    return device;
  }

  /** The profile can be opened by another process then. */
  async release(device: DemoDevice): Promise<void> {
    this.devices.splice(this.devices.indexOf(device), 1);
    await device.client.close();
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.devices.map(({ client }) => client.close()));
    await Promise.allSettled((this.sides ?? []).map(({ server }) => server.stop()));
  }
}

async function play(show: Show, input: CommandInput): Promise<ExitCode | 'stay'> {
  const { stage, folder } = show;
  await freshFolder(folder, DOMAINS);
  print('Two organisations, each with its own server, database and root key.');
  print(`Everything is kept in ${shortPath(folder)}.`);
  const sides = await openServers(show);
  show.sides = sides;
  await negotiate(show, sides);
  const cast = await enrollCast(show, sides);
  stage.step('A conversation across the border');
  const played = await playConversation(stage, cast, sides[0].admin);
  stage.step('What the servers could see of the first message');
  await showServerViews(stage, sides, played);
  print('');
  printStyled(['bold', `Done in ${durationText(stage.elapsed)}: every step worked.`]);
  if (input.flags.has('once')) return EXIT.ok;
  await invite(show, sides, cast);
  return 'stay';
}

async function openServers({ stage, folder }: Show): Promise<Pair<RunningSide>> {
  stage.step('Two organisations, two servers');
  const { value: sides, ms } = await timed(async () => {
    return [await createSide(folder, DOMAINS[0]), await createSide(folder, DOMAINS[1])] as const;
  });
  for (const { domain, rootFingerprint } of sides) {
    stage.say(`${domain}  root key ${fingerprintText(rootFingerprint).slice(0, 19)} …`, ms / 2);
  }
  const { value: running, ms: started } = await timed(() => startServers(sides));
  for (const { domain, server } of running) {
    const { device_address: devices, federation_address: links } = server.ready;
    const ports = `ports ${devices.port} (devices) ${links?.port} (servers)`;
    stage.say(`${domain}  process ${server.processId}, ${ports}`, started);
  }
  return running;
}

const DOMAINS = [domainOf('alpha.example'), domainOf('bravo.example')] as const;

function domainOf(text: string) {
  const domain = parseDomain(text);
  if (!domain.ok) throw new RangeError(text);
  return domain.value;
}

async function negotiate({ stage }: Show, sides: Pair<RunningSide>): Promise<void> {
  const [alpha, bravo] = sides;
  stage.step('Trust');
  const { proved, approved, linked, level, notAfter, linkVersion } = await agreeOnTrust(sides);
  stage.say(`${alpha.domain} asks for level ${level}; both prove domain and key`, proved);
  stage.say(`${bravo.domain}'s officer approves; each certifies the other`, approved);
  stage.say(
    `in force until ${utcTime(notAfter).slice(0, 10)}; linked by NORC-F ${linkVersion} over mutual TLS 1.3`,
    linked,
  );
}

async function enrollCast(show: Show, [alpha, bravo]: Pair<RunningSide>): Promise<Cast> {
  const { stage } = show;
  stage.step('Three devices');
  const annaPhone = await show.device({ side: alpha, person: 'anna', name: 'phone' });
  const annaLaptop = await show.device({ side: alpha, person: 'anna', name: 'laptop' });
  const benLaptop = await show.device({ side: bravo, person: 'ben', name: 'laptop' });
  stage.say(`NORC-C ${annaPhone.facts.version}, suite ${suiteWords(annaPhone.facts.suite)}`);
  return { annaPhone, annaLaptop, benLaptop };
}

/** Anna's phone stays and answers; the other profiles are free for whoever is at the keyboard. */
async function invite(
  show: Show,
  [, bravo]: Pair<RunningSide>,
  { annaPhone, annaLaptop, benLaptop }: Cast,
): Promise<void> {
  await Promise.all([show.release(annaLaptop), show.release(benLaptop)]);
  answerOn(annaPhone, () => undefined); // a message that is not answered is not worth ending the demo
  const carla = `carla@${bravo.domain}`;
  await bravo.admin.post('/users', { user: carla });
  const { code } = await bravo.admin.post<{ code: string }>('/enrolments', { user: carla });
  const profile = shortPath(profilePath(show.folder, 'carla'));
  print('', 'Join in, in another terminal. anna reads and answers.');
  print('', 'As ben, with what was said so far:');
  print(`   npx norc chat --profile ${shortPath(benLaptop.profile)}`);
  print('', `As somebody new, ${carla}, with a code that works once:`);
  print(`   npx norc enroll --profile ${profile} --unlock-file ${profile}.key \\`);
  print(`     ${code}`);
  print(`   npx norc chat --profile ${profile} --to anna@alpha.example`);
  print('', 'Look behind it:');
  print(`   npx norc trust list --data ${shortPath(bravo.paths.data)}`);
  print(`   npx norc audit verify --data ${shortPath(bravo.paths.data)}`);
  print('', 'Ctrl-C stops both servers.');
}

function explain(error: unknown, folder: string): unknown {
  if (error instanceof DemoError)
    return new CommandError(EXIT.failure, error.message, `The servers' logs are in ${folder}.`, { cause: error });
  if (error instanceof ChildServerError) {
    return new CommandError(EXIT.failure, `A server did not start. ${error.message}`, `Its log is in ${folder}.`, {
      cause: error,
    });
  }
  return error;
}
