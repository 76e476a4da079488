import { hostname } from 'node:os';
import { type EnrolmentReject, en, problemOfError } from '@norc/client';
import { enrolNodeDevice, type Unlock } from '@norc/client/platform/node';
import { nodeCrypto } from '@norc/crypto/node';
import type { UserAddress } from '@norc/protocol/base';
import { decodeEnrolmentCode, type EnrolmentCodeFault } from '@norc/protocol/norc-c';
import { CommandError, type CommandInput, EXIT, type ExitCode } from '../command.ts';
import { hint, print, printFacts } from '../output.ts';
import { hasProfile, readDevice } from './known-device.ts';
import { connectDevice, openDevice, suiteWords } from './open-device.ts';
import { knownUnlock, newUnlock, profileFolder } from './profile.ts';

/** `norc enroll CODE`: this machine becomes a device of the code's user. */
export async function enrollDevice(input: CommandInput, code: string): Promise<ExitCode> {
  const folder = profileFolder(input);
  const user = checkCode(code);
  const isThere = hasProfile(folder);
  const unlock = isThere ? await knownUnlock(input, folder) : await newUnlock(input, folder);
  if (isThere) await refuseEnrolled(folder, unlock);
  const name = input.options.get('name') ?? hostname();
  await enrollWith(folder, unlock, code, name);
  const client = await openDevice(folder, unlock);
  try {
    const facts = await connectDevice(client);
    await client.reachable();
    print(`This device is now ${user}'s, named ${name}.`);
    printFacts([
      ['Version', facts.version],
      ['Suite', suiteWords(facts.suite)],
      ['Transcript', facts.transcript],
    ]);
  } finally {
    await client.close();
  }
  const profile = input.options.get('profile');
  hint(`norc chat${profile === undefined ? '' : ` --profile ${profile}`} --to NAME@DOMAIN`);
  return EXIT.ok;
}

/** The user of a code, before anything is asked or made. Throws CommandError for what is no code. */
export function checkCode(code: string): UserAddress {
  const decoded = decodeEnrolmentCode(nodeCrypto, code);
  if (decoded.ok) return decoded.value.user;
  throw codeError(decoded.error.reason);
}

function codeError(fault: EnrolmentCodeFault): CommandError {
  switch (fault) {
    case 'not_a_code':
      return new CommandError(
        EXIT.usage,
        'This is neither an address nor an enrolment code.',
        'A code begins with norc1-, an address has an @.',
      );
    case 'newer':
      return new CommandError(EXIT.badData, 'This code is for a newer NORC.', 'Update this program.');
    case 'contents':
      return new CommandError(EXIT.badData, 'This code is damaged.', 'Ask your administrator for a new one.');
    case 'character':
    case 'mistyped':
      return new CommandError(EXIT.badData, sentence({ cause: 'enrolment.mistyped' }));
  }
}

const sentence = (problem: Parameters<typeof en.problem>[0]): string =>
  en.problem(problem, { name: String, time: String });

async function refuseEnrolled(folder: string, unlock: Unlock): Promise<void> {
  const device = await readDevice(folder, unlock);
  if (device === undefined) return;
  throw new CommandError(
    EXIT.cannotCreate,
    `${folder} is a device of ${device.user} already. It was left as it is.`,
    'For another device: --profile FOLDER. To talk with this one: norc chat',
  );
}

/** Throws CommandError with the reason when the code is not taken; the same code can then be tried again where that helps. */
export async function enrollWith(profile: string, unlock: Unlock, code: string, deviceName: string): Promise<void> {
  const enrolled = await enrolNodeDevice({ profileFolder: profile, unlock, code, deviceName });
  if (!enrolled.ok) throw enrolmentFailure(enrolled.error);
}

function enrolmentFailure({ code, reason, cause }: EnrolmentReject): CommandError {
  if (reason !== undefined) return codeError(reason);
  if (code === 'no_route' || cause === 'unreachable') {
    const next = 'Is the server running, and reachable from here? The same code can be tried again.';
    return new CommandError(EXIT.unavailable, 'The server that the code names is not answering.', next);
  }
  return new CommandError(EXIT.failure, `${sentence(problemOfError(code))} [${code}]`);
}
