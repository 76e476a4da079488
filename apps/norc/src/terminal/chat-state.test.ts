import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNA, BRUNO, CARLA, LOOK, modelOf, Talk } from './chat.fixture.ts';
import { renderChat } from './chat-screen.ts';
import { type ChatEffect, type ChatEvent, type ChatState, chatStep, startChat } from './chat-state.ts';
import { KeyParser } from './keys.ts';
import { lineText } from './line-editor.ts';

/** A person at the keyboard: types, looks, and the effects that came of it. */
class Person {
  state: ChatState;
  effects: ChatEffect[] = [];

  constructor(talks: readonly Talk[], open?: Talk) {
    this.state = startChat(modelOf(talks, open));
    this.happens({ type: 'model', model: modelOf(talks, open) });
  }

  happens(event: ChatEvent): void {
    const { log, logHeight } = renderChat(this.state.screen, { columns: 90, rows: 16 }, LOOK);
    const { state, effects } = chatStep(this.state, event, { log, logHeight });
    this.state = state;
    this.effects.push(...effects);
  }

  types(bytes: string): this {
    const parser = new KeyParser();
    for (const event of [...parser.feed(bytes), ...parser.flush()]) this.happens(event);
    return this;
  }

  /** Effects since the last question. */
  did(): readonly ChatEffect[] {
    const { effects } = this;
    this.effects = [];
    return effects;
  }

  get line(): string {
    return lineText(this.state.screen.line);
  }
}

const UP = '\u001b[A';
const PAGE_UP = '\u001b[5~';
const END = '\u001b[F';
const CTRL_K = '\u000b';
const ESC = '\u001b';

function talks() {
  const depot = new Talk(1, 'Depot', [ANNA, BRUNO, CARLA]);
  for (let n = 1; n <= 40; n += 1) depot.say(BRUNO, `message ${n}`);
  const bruno = new Talk(2);
  return { depot, bruno, all: [depot, bruno] };
}

test('Enter sends what was typed, once, and the line is empty again', () => {
  const { depot, all } = talks();
  const person = new Person(all, depot);
  person.did();
  assert.deepEqual(person.types('hello\r\r').did(), [{ do: 'send', text: 'hello' }]);
  assert.equal(person.line, '');
  assert.equal(person.types(UP).line, 'hello');
});

test('a pasted line end never sends', () => {
  const { depot, all } = talks();
  const person = new Person(all, depot);
  person.did();
  person.types(`${ESC}[200~rm -rf ~\r\nsecond\r${ESC}[201~`);
  assert.deepEqual(person.did(), []);
  assert.equal(person.line, 'rm -rf ~\nsecond\n');
});

test('a mistake keeps the line, says what to do, and sends nothing', () => {
  const { depot, all } = talks();
  const person = new Person(all, depot);
  person.did();
  person.types('/membres\r');
  assert.deepEqual(person.did(), []);
  assert.equal(person.line, '/membres');
  assert.match(person.state.screen.notice?.text ?? '', /Did you mean \/members\?/);
  person.types(ESC);
  assert.equal(person.state.screen.notice, undefined);
});

test('without an open conversation a message is not lost but kept in the line', () => {
  const { all } = talks();
  const person = new Person(all);
  assert.deepEqual(person.types('hello\r').did(), []);
  assert.equal(person.line, 'hello');
  assert.match(person.state.screen.notice?.text ?? '', /Open a conversation first/);
});

test('/to and Ctrl+K open by part of a name', () => {
  const { depot, bruno, all } = talks();
  const person = new Person(all, depot);
  person.did();
  const opens = (talk: Talk): ChatEffect[] => [{ do: 'open', conversationId: talk.conversationId }];
  assert.deepEqual(person.types('/to bru\r').did(), opens(bruno));
  assert.deepEqual(person.types(`${CTRL_K}bru\r`).did(), opens(bruno));
  assert.deepEqual(person.types(`${CTRL_K}\u001b[B\r`).did(), opens(bruno));
  assert.deepEqual(person.types(`${CTRL_K}nobody\r`).did(), []);
  assert.deepEqual(person.types(`${CTRL_K}bru`).types(ESC).did(), []);
  assert.equal(person.state.screen.list, undefined);
});

test('commands of the application are run, and their answer is shown', () => {
  const { depot, all } = talks();
  const person = new Person(all, depot);
  person.did();
  const command = { name: 'members' } as const;
  assert.deepEqual(person.types('/members\r').did(), [{ do: 'run', command }]);
  person.happens({ type: 'answer', command, lines: ['anna', 'bruno'] });
  assert.equal(person.state.screen.panel?.title, 'Who is in this conversation');
  person.types(ESC);
  assert.equal(person.state.screen.panel, undefined);
  person.happens({ type: 'answer', command: { name: 'retry' }, lines: ['Sent again.'] });
  assert.equal(person.state.screen.notice?.text, 'Sent again.');
});

test('Ctrl+C leaves; Ctrl+D only from an empty line', () => {
  const { depot, all } = talks();
  const person = new Person(all, depot);
  person.did();
  assert.deepEqual(person.types('x\u0004').did(), []);
  assert.deepEqual(person.types('\u0003').did(), [{ do: 'quit' }]);
  assert.deepEqual(new Person(all, depot).types('\u0004').did().at(-1), { do: 'quit' });
});

test('what comes in at the followed end is seen; what comes in below is not, and is marked New', () => {
  const { depot, all } = talks();
  const person = new Person(all, depot);
  depot.readSeq = 40;
  const news = () => person.happens({ type: 'model', model: modelOf(all, depot) });
  person.did();
  depot.say(BRUNO, 'message 41');
  news();
  assert.deepEqual(person.did(), [{ do: 'bell' }, { do: 'seen' }]);
  assert.equal(person.state.screen.newFrom, undefined);
  depot.readSeq = 41;
  news();
  person.types(PAGE_UP).did();
  const below = depot.say(BRUNO, 'message 42');
  news();
  assert.deepEqual(person.did(), [{ do: 'bell' }]);
  assert.equal(person.state.screen.newFrom, `${below.sender}|${below.messageId}`);
  assert.deepEqual(person.types(END).did(), [{ do: 'seen' }]);
  assert.equal(person.state.screen.anchor, undefined);
});

test('a conversation that is opened with unread messages shows where they begin until one writes', () => {
  const { depot, all } = talks();
  depot.readSeq = 38;
  const person = new Person(all, depot);
  assert.deepEqual(person.did(), [{ do: 'seen' }]);
  const first = depot.entries[38];
  assert.equal(person.state.screen.newFrom, `${first?.sender}|${first?.messageId}`);
  depot.readSeq = 40;
  person.happens({ type: 'model', model: modelOf(all, depot) });
  assert.notEqual(person.state.screen.newFrom, undefined);
  person.types('ok\r');
  assert.equal(person.state.screen.newFrom, undefined);
});

test('scrolling to the top asks for older messages', () => {
  const { depot, all } = talks();
  depot.more = true;
  const person = new Person(all, depot);
  person.did();
  for (let i = 0; i < 3; i += 1) person.types(PAGE_UP);
  assert.deepEqual(person.did(), []);
  for (let i = 0; i < 5; i += 1) person.types(PAGE_UP);
  assert.ok(person.did().some((effect) => effect.do === 'older'));
});

test('opening another conversation begins at its end, without the hints of the last one', () => {
  const { depot, bruno, all } = talks();
  const person = new Person(all, depot);
  person.types(PAGE_UP).types('/nonsense\r');
  person.happens({ type: 'model', model: modelOf(all, bruno) });
  const { anchor, notice, panel } = person.state.screen;
  assert.deepEqual([anchor, notice, panel], [undefined, undefined, undefined]);
  assert.equal(person.line, '/nonsense', 'but what was typed stays');
});

test('an alert is shown once, until the user writes', () => {
  const { depot, all } = talks();
  const person = new Person(all, depot);
  const alert = { number: 1, text: 'Look out.' };
  person.happens({ type: 'model', model: { ...modelOf(all, depot), alert } });
  assert.deepEqual(person.state.screen.notice, { text: 'Look out.', warning: true });
  person.types('x');
  person.happens({ type: 'model', model: { ...modelOf(all, depot), alert } });
  assert.equal(person.state.screen.notice, undefined);
});
