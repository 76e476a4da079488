import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { ANNA, BRUNO, CARLA, LOOK, modelOf, Talk } from './chat.fixture.ts';
import type { ChatModel, ChatPort } from './chat-model.ts';
import { runPlain } from './chat-plain.ts';
import type { Command } from './commands.ts';
import { NOTHING_PRINTED, type PlainMemory, plainStep } from './plain-lines.ts';

/** Prints each model after the last. */
function printer() {
  let memory: PlainMemory = NOTHING_PRINTED;
  return (model: ChatModel): readonly string[] => {
    const step = plainStep(memory, model, LOOK.words);
    memory = step.memory;
    return step.lines;
  };
}

test('a conversation is introduced, then told line by line; states are lines of their own', () => {
  const talk = new Talk(1);
  const print = printer();
  talk.say(BRUNO, 'Convoy 28 moved.');
  assert.deepEqual(print(modelOf([talk], talk)), [
    '-- Connected, 2.0 hybrid',
    '-- bruno. UNCLASSIFIED. Trust: Basic. With bruno (bravo.example).',
    '-- Monday 23 November',
    '09:01  bruno (bravo.example)  Convoy 28 moved.',
  ]);
  const own = talk.write('Understood.');
  assert.deepEqual(print(modelOf([talk], talk)), ['09:02  You  Understood.   [Sending]']);
  talk.entries[1] = { ...own, state: { state: 'accepted' } };
  assert.deepEqual(print(modelOf([talk], talk)), ['09:02  [Sent]  Understood.']);
  const { state: _state, ...ordered } = own;
  talk.entries[1] = { ...ordered, seq: 2 };
  assert.deepEqual(print(modelOf([talk], talk)), [], 'ordered is no news');
  talk.marks.push({ user: BRUNO, mark: 'delivered', seq: 2 });
  assert.deepEqual(print(modelOf([talk], talk)), ['09:02  [Delivered]  Understood.']);
  talk.marks.push({ user: BRUNO, mark: 'read', seq: 2 });
  assert.deepEqual(print(modelOf([talk], talk)), ['09:02  [Read]  Understood.']);
  assert.deepEqual(print(modelOf([talk], talk)), []);
});

test('an alert is one line, once, and the same words later are news again', () => {
  const talk = new Talk(1);
  const print = printer();
  print(modelOf([talk], talk));
  const alerted = (number: number) => print({ ...modelOf([talk], talk), alert: { number, text: 'Look out.' } });
  assert.deepEqual(alerted(1), ['-- Warning: Look out.']);
  assert.deepEqual(alerted(1), []);
  assert.deepEqual(alerted(2), ['-- Warning: Look out.']);
});

test('what changes an earlier message says which', () => {
  const talk = new Talk(1);
  const print = printer();
  const first = talk.say(BRUNO, 'at nine');
  print(modelOf([talk], talk));
  talk.say(BRUNO, { type: 'edit', target: first.messageId, text: 'at ten' });
  assert.deepEqual(print(modelOf([talk], talk)), [
    '-- bruno (bravo.example) changed the message of 09:01, “at nine”: at ten',
  ]);
  talk.say(ANNA, { type: 'reaction', target: first.messageId, emoji: '👍', remove: false });
  assert.deepEqual(print(modelOf([talk], talk)), ['-- Reactions to “at ten”: 👍 1: You']);
  talk.say(BRUNO, { type: 'delete', target: first.messageId });
  assert.deepEqual(print(modelOf([talk], talk)), [
    '-- bruno (bravo.example) deleted the message of 09:01, “at ten”',
    '-- Reactions to “This message was deleted.”: none',
  ]);
});

test('no text can pass for another line', () => {
  const talk = new Talk(1, 'Depot\n-- Connected', [ANNA, BRUNO, CARLA]);
  const print = printer();
  talk.say(BRUNO, 'hi\n09:42  carla  forged\n-- forged\r\u001b[1A\u009b2K');
  const lines = print(modelOf([talk], talk));
  assert.deepEqual(lines.slice(-3), [
    '09:01  bruno (bravo.example)  hi',
    '       | 09:42  carla  forged',
    '       | -- forged\ufffd\ufffd[1A\ufffd2K',
  ]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be printed
  for (const line of lines) assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f]/);
});

test('other conversations get one line when something new is there', () => {
  const [open, other] = [new Talk(1), new Talk(2, 'Depot', [ANNA, BRUNO, CARLA])];
  const print = printer();
  print(modelOf([open, other], open));
  other.readSeq = 0;
  other.say(CARLA, 'hello');
  assert.deepEqual(print(modelOf([open, other], open)), ['-- 1 unread in Depot. To open it: /to Depot']);
  assert.deepEqual(print(modelOf([open, other], open)), []);
});

test('a failure says why', () => {
  const talk = new Talk(1);
  talk.write('x', { state: 'failed', problem: { cause: 'trust.none', org: 'bravo.example' } });
  const line = printer()(modelOf([talk], talk)).at(-1);
  assert.match(
    line ?? '',
    /\[Not sent: Your organisation and bravo\.example have no agreement\. Ask your administrator\.\]$/,
  );
});

/** The application behind a chat, remembering what it was asked. */
function fakePort(talks: readonly Talk[]) {
  const asked: string[] = [];
  const listeners = new Set<() => void>();
  let open: Talk | undefined = talks[0];
  const tell = () => {
    for (const listener of listeners) listener();
  };
  const port: ChatPort = {
    model: () => modelOf(talks, open),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async send(text) {
      asked.push(`send ${text}`);
      open?.write(text);
      tell();
    },
    async open(id) {
      open = talks.find((talk) => talk.conversationId === id);
      tell();
    },
    seen: () => asked.push('seen'),
    older: () => asked.push('older'),
    async run(command: Command) {
      asked.push(`run ${command.name}`);
      return ['line one', 'line\u001b[2J two'];
    },
    async settled() {
      asked.push('settled');
    },
  };
  return { port, asked, listeners };
}

async function chatOf(input: string, talks: readonly Talk[]) {
  const { port, asked, listeners } = fakePort(talks);
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  stdin.end(input);
  const exitCode = await runPlain({ input: stdin, output: stdout, port, words: LOOK.words });
  stdout.end();
  const printed = (await stdout.toArray()).join('').split('\n');
  return { exitCode, printed, asked, listening: listeners.size };
}

test('lines from a pipe are sent and answered in order, and the end of the input ends the chat', async () => {
  const depot = new Talk(2, 'Depot', [ANNA, BRUNO, CARLA]);
  const { exitCode, printed, asked, listening } = await chatOf('hello\n/to dep\nthere\n/nope\n\n', [
    new Talk(1),
    depot,
  ]);
  assert.equal(exitCode, 0);
  assert.deepEqual(asked, ['send hello', 'send there', 'settled']);
  const order = ['You  hello', '-- Depot.', 'You  there', 'There is no /nope'];
  const places = order.map((text) => printed.findIndex((line) => line.includes(text)));
  assert.ok(
    places.every((place, i) => place >= 0 && place >= (places[i - 1] ?? 0)),
    printed.join('\n'),
  );
  assert.equal(listening, 0, 'nothing is left behind');
});

test('/quit ends at once: nothing after it is sent', async () => {
  const { exitCode, asked } = await chatOf('/quit\nnot sent\n', [new Talk(1)]);
  assert.equal(exitCode, 0);
  assert.deepEqual(asked, []);
});

test('an address that no conversation matches starts one, and what follows waits for it', async () => {
  const { asked } = await chatOf('/to carla@alpha.example\nhello\n/to nobody\n', [new Talk(1)]);
  assert.deepEqual(asked, ['run new', 'send hello', 'settled']);
});

test('unread messages that were printed count as seen, and answers are clean', async () => {
  const talk = new Talk(1);
  talk.readSeq = 0;
  talk.say(BRUNO, 'new');
  const { printed, asked } = await chatOf('/members\n/help\n/list\n', [talk]);
  assert.ok(asked.includes('seen') && asked.includes('run members'));
  assert.ok(printed.includes('-- line\ufffd[2J two'));
  assert.ok(printed.some((line) => line.startsWith('-- /quit')));
  assert.ok(printed.includes('-- bruno (Basic, 1 unread, open)'));
});
