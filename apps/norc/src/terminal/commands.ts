/** What a person can ask for in a chat, besides writing. */
export type Command =
  /** Open a conversation: part of its title or of a name. An address starts one where there is none. */
  | { readonly name: 'to'; readonly whom: string }
  /** Start one with these people. */
  | { readonly name: 'new'; readonly people: readonly string[] }
  | { readonly name: 'add'; readonly people: readonly string[] }
  | { readonly name: 'remove'; readonly people: readonly string[] }
  | { readonly name: 'title'; readonly title: string }
  | { readonly name: 'reply' | 'edit'; readonly text: string }
  | { readonly name: 'react'; readonly emoji: string }
  | { readonly name: 'info' | 'members' | 'list' | 'read' | 'retry' | 'delete' | 'help' | 'quit' };

export type CommandName = Command['name'];

export type Entered =
  | { readonly type: 'nothing' }
  | { readonly type: 'message'; readonly text: string }
  | { readonly type: 'command'; readonly command: Command }
  /** For the person: what to type instead. */
  | { readonly type: 'mistake'; readonly hint: string };

interface CommandSpec {
  readonly usage: string;
  readonly summary: string;
}

/** In the order of the help. */
export const COMMANDS: Readonly<Record<CommandName, CommandSpec>> = {
  to: { usage: '/to NAME', summary: 'open a conversation; NAME@DOMAIN also starts one' },
  list: { usage: '/list', summary: 'show your conversations' },
  new: { usage: '/new ADDRESS …', summary: 'start a conversation with people' },
  add: { usage: '/add ADDRESS …', summary: 'add people to this conversation' },
  remove: { usage: '/remove ADDRESS …', summary: 'remove people from this conversation' },
  title: { usage: '/title TEXT', summary: 'name this conversation' },
  reply: { usage: '/reply TEXT', summary: 'answer the last message' },
  react: { usage: '/react EMOJI', summary: 'react to the last message' },
  edit: { usage: '/edit TEXT', summary: 'change your last message' },
  delete: { usage: '/delete', summary: 'delete your last message for everybody' },
  retry: { usage: '/retry', summary: 'send again what could not be sent' },
  members: { usage: '/members', summary: 'who is in this conversation' },
  info: { usage: '/info', summary: 'how this conversation is protected' },
  read: { usage: '/read', summary: 'mark everything here as read' },
  help: { usage: '/help', summary: 'this list' },
  quit: { usage: '/quit', summary: 'leave NORC' },
};

/** Other words for the same: what people type who come from elsewhere. */
const ALIASES: Readonly<Record<string, CommandName>> = {
  exit: 'quit',
  q: 'quit',
  '?': 'help',
  h: 'help',
  who: 'members',
  names: 'members',
  join: 'to',
  msg: 'new',
  topic: 'title',
  rename: 'title',
  invite: 'add',
  kick: 'remove',
};

/** `//text` sends a text that begins with a slash. */
export function parseEntered(text: string): Entered {
  if (text.trim() === '') return { type: 'nothing' };
  if (text.startsWith('//')) return { type: 'message', text: text.slice(1) };
  if (!text.startsWith('/')) return { type: 'message', text };
  const [, word = '', rest = ''] = /^\/(\S*)\s*([\s\S]*)$/.exec(text) ?? [];
  const typed = word.toLowerCase();
  const name = isCommandName(typed) ? typed : ALIASES[typed];
  if (name === undefined) return { type: 'mistake', hint: unknownHint(word) };
  return commandOf(name, rest.trim());
}

/** Whether a word names a person anywhere, not only among the open conversations. */
export function isAddress(text: string): boolean {
  return /^[^\s@]+@[^\s@]+$/.test(text);
}

function isCommandName(word: string): word is CommandName {
  return Object.hasOwn(COMMANDS, word);
}

function commandOf(name: CommandName, rest: string): Entered {
  const command = (made: Command): Entered => ({ type: 'command', command: made });
  switch (name) {
    case 'to':
      return rest === '' ? missing(name) : command({ name, whom: rest });
    case 'new':
    case 'add':
    case 'remove': {
      const people = rest.split(/[\s,;]+/).filter((person) => person !== '');
      return people.length === 0 ? missing(name) : command({ name, people });
    }
    case 'title':
      return rest === '' ? missing(name) : command({ name, title: rest });
    case 'reply':
    case 'edit':
      return rest === '' ? missing(name) : command({ name, text: rest });
    case 'react':
      return rest === '' || /\s/.test(rest) ? missing(name) : command({ name, emoji: rest });
    default:
      return rest === ''
        ? command({ name })
        : { type: 'mistake', hint: `/${name} stands alone: ${COMMANDS[name].summary}.` };
  }
}

function missing(name: CommandName): Entered {
  const { usage, summary } = COMMANDS[name];
  return { type: 'mistake', hint: `Type ${usage}: ${summary}.` };
}

const DISTANCE_MAX = 2;

function unknownHint(word: string): string {
  const typed = word.toLowerCase();
  // People rarely mistype the first letter.
  const rank = (name: string) => distance(name, typed) + (name[0] === typed[0] ? 0 : 0.5);
  const [nearest] = [...Object.keys(COMMANDS), ...Object.keys(ALIASES)]
    .filter((name) => name.length > 1 && rank(name) <= DISTANCE_MAX)
    .sort((a, b) => rank(a) - rank(b));
  const meant = nearest === undefined ? '' : ` Did you mean /${nearest}?`;
  return `There is no /${word}.${meant} /help shows all; to send it as a message, type //${word}`;
}

/** Levenshtein. The words are short. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      const same = letter === b[j] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + same, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
