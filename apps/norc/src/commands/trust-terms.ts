import { type Domain, parseDomain } from '@norc/protocol/base';
import { CommandError, EXIT } from '../command.ts';

/** A domain that was checked when the command line was read. */
export function parsedDomain(text: string): Domain {
  const domain = parseDomain(text);
  if (domain.ok) return domain.value;
  throw new CommandError(EXIT.usage, `'${text}' is not a domain.`, 'A domain looks like bravo.example.');
}
