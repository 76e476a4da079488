import { type ClientEvents, en, type TextContext, type WarningName } from '@norc/client';

const TELL = 'Tell your administrator.';

/** What a server or a network did that honest ones do not do, for the person in front of it. */
const WORDS: Readonly<Record<Exclude<WarningName, 'clock'>, string>> = {
  log_fork: `Your server showed two different histories of a conversation. Nothing more is taken from it. ${TELL}`,
  log_withheld: `Your server holds back a part of a conversation. ${TELL}`,
  group_refused: `A change of a conversation was refused: it brought a device that its organisation did not certify. ${TELL}`,
  device_refused: `A device was left out: its organisation did not certify it. ${TELL}`,
  trust_forged: `Your server showed a false certificate of another organisation. It was not believed. ${TELL}`,
  message_forged: `Your server showed something else in the place of a message of yours. ${TELL}`,
  message_withheld: `A message was kept from the screen: its label is above what is agreed with the organisation that it came from. ${TELL}`,
  server_unproven: `Who answers at your server's address did not prove to be your organisation. ${TELL}`,
};

export function warningText({ warning, problem }: ClientEvents['warning'], context: TextContext): string {
  const isExplained = problem.cause === 'trust.below_floor' || problem.cause === 'trust.too_low';
  return warning === 'clock' || isExplained ? en.problem(problem, context) : WORDS[warning];
}
