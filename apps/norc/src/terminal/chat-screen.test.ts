import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ANNA, BRUNO, CARLA, LOOK, modelOf, PALETTE, Talk } from './chat.fixture.ts';
import { type ChatScreen, renderChat, type Size } from './chat-screen.ts';
import { difference } from './grid.ts';
import { EMPTY_LINE, lineOf } from './line-editor.ts';
import { scrolled } from './scroll.ts';

const draw = (screen: ChatScreen, columns = 90, rows = 16) =>
  renderChat(screen, { columns, rows }, LOOK).grid.toLines();

function example(): ChatScreen {
  const convoy = new Talk(1);
  convoy.level = 'nato';
  convoy.label = 'nato_secret';
  const first = convoy.say(
    BRUNO,
    'Convoy 28 moved to the northern depot at first light. Please confirm receipt 🚚 and reply.',
  );
  convoy.say(ANNA, { type: 'text', text: 'Understood.', mentions: [], replyTo: first.messageId });
  convoy.say(BRUNO, {
    type: 'reaction',
    target: convoy.entries[1]?.messageId ?? first.messageId,
    emoji: '👍',
    remove: false,
  });
  convoy.marks.push({ user: BRUNO, mark: 'read', seq: 2 });
  convoy.write('On its way', { state: 'failed', problem: { cause: 'trust.revoked', org: 'bravo.example' } });
  const group = new Talk(2, 'Joint logistics cell', [ANNA, BRUNO, CARLA]);
  group.readSeq = 0;
  group.say(CARLA, { type: 'text', text: '@anna', mentions: [ANNA] });
  const quiet = new Talk(3, 'Threat intel exchange', [ANNA, BRUNO, CARLA]);
  quiet.level = 'verified';
  return { model: modelOf([convoy, group, quiet], convoy), line: lineOf('héllo') };
}

test('the whole screen: markings, list with levels, people, states with words, input', () => {
  assert.deepEqual(draw(example(), 90, 17), [
    '                                       NATO SECRET',
    ' Needs attention              │ bruno bravo.example                                ▇ NATO',
    '>▇ bruno                    ! │───────────────────────────────────────────────────────────',
    ' Conversations                │ 09:01 bruno (bravo.example) (NS) Convoy 28 moved to the',
    ' ▁ Joint logistics cell    @1 │       northern depot at first light. Please confirm',
    ' ▃ Threat intel exchange      │       receipt 🚚 and reply.',
    '                              │ 09:02 You (NS) ↪ bruno: Convoy 28 moved to the northern d…',
    '                              │       Understood.  [Read]',
    '                              │       👍 1: bruno',
    '                              │ 09:04 You (NS) On its way',
    '                              │       ! Not sent: bravo.example was blocked. Your message',
    '                              │       was not sent. Ask your administrator. Type /retry to',
    '                              │       send it again.',
    '                              │───────────────────────────────────────────────────────────',
    '                              │ (NS) > héllo',
    '                              │ F1 help  ^K go to  PgUp older       Connected, 2.0 hybrid',
    '                                       NATO SECRET',
  ]);
});

test('below 80 columns the list hides, and takes the window when it is asked for', () => {
  const lines = draw(example(), 60, 14);
  assert.ok(lines.every((line) => !line.includes('│')));
  assert.match(lines[1] ?? '', /^ bruno bravo\.example +▇ NATO$/);
  const list = draw({ ...example(), list: { typed: 'jo', index: 0 } }, 60, 14);
  assert.deepEqual(list.slice(1, 4), [' Go to: jo', ` ▁ Joint logistics cell${' '.repeat(34)}@1`, '']);
  assert.match(list[0] ?? '', /NATO SECRET/, 'the marking stays');
});

test('a window that is too small says so', () => {
  assert.deepEqual(draw(example(), 20, 4), ['Make the window larg', '', '', '']);
});

test('the cursor stands in the input, after what is before it', () => {
  const { cursor } = renderChat(example(), { columns: 90, rows: 16 }, LOOK);
  assert.deepEqual(cursor, { x: 32 + '(NS) > '.length + 5, y: 13 });
});

test('text, names and titles of others cannot draw: no control reaches the terminal, no forged line', () => {
  const talk = new Talk(1, '\u001b]0;root\u0007Depot\n\u202ekcatta', [ANNA, BRUNO, CARLA]);
  talk.say(BRUNO, '\u001b[2J\u001b[1;1H\u001b]52;c;eA==\u0007hi\r\u009b31m\n09:42 anna (U) forged');
  const { grid } = renderChat({ model: modelOf([talk], talk), line: EMPTY_LINE }, { columns: 100, rows: 12 }, LOOK);
  const bytes = difference(undefined, grid, PALETTE);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: our own sequences, to be taken away
  const rest = bytes.replace(/\u001b\[(?:\?25[lh]|[0-9;]+[Hm])/g, '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be left
  assert.doesNotMatch(rest, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  const forged = grid.toLines().find((line) => line.includes('forged'));
  assert.match(forged ?? '', /│ {7}09:42 anna/, 'it hangs under its author');
});

test('an own message shows its state once for a run, and always while something is not in order', () => {
  const talk = new Talk(1);
  talk.say(ANNA, 'one');
  talk.say(ANNA, 'two');
  talk.marks.push({ user: BRUNO, mark: 'delivered', seq: 9 });
  talk.write('three');
  talk.write('four');
  const lines = draw({ model: modelOf([talk], talk), line: EMPTY_LINE }, 90, 14).map((line) => line.slice(32));
  const of = (word: string) => lines.find((line) => line.includes(`(U) ${word}`));
  assert.equal(of('one'), '09:01 You (U) one');
  assert.equal(of('two'), '09:02 You (U) two  [Delivered]');
  assert.equal(of('three'), '09:03 You (U) three  [Sending]');
  assert.equal(of('four'), '09:04 You (U) four  [Sending]');
});

test('edited and deleted messages, unreadable ones and notices have words', () => {
  const talk = new Talk(1);
  const one = talk.say(BRUNO, 'at nine');
  const two = talk.say(BRUNO, 'oops');
  talk.say(BRUNO, { type: 'edit', target: one.messageId, text: 'at ten' });
  talk.say(BRUNO, { type: 'delete', target: two.messageId });
  talk.say(BRUNO, { type: 'problem', problem: { cause: 'key.tampered' } });
  talk.say(BRUNO, { type: 'notices', notices: [{ notice: 'device_added', user: BRUNO, count: 1 }] });
  const text = draw({ model: modelOf([talk], talk), line: EMPTY_LINE }, 120, 14).join('\n');
  for (const words of [
    'at ten  (edited)',
    'This message was deleted.',
    '! A message was damaged',
    '· bruno added a device.',
  ]) {
    assert.ok(text.includes(words), words);
  }
});

test('what is read does not move when messages come in below or are loaded above', () => {
  const talk = new Talk(1);
  for (let n = 1; n <= 40; n += 1) talk.say(BRUNO, `message ${n}`);
  const size: Size = { columns: 60, rows: 16 };
  const screen = (anchor: ChatScreen['anchor']) => {
    const base = { model: modelOf([talk], talk), line: EMPTY_LINE };
    return renderChat(anchor === undefined ? base : { ...base, anchor }, size, LOOK);
  };
  const seen = (anchor: ChatScreen['anchor']) => screen(anchor).grid.toLines().slice(3, 12);
  const { log, logHeight } = screen(undefined);
  const anchor = scrolled(log, undefined, logHeight, -12);
  const before = seen(anchor);
  assert.ok(before.some((line) => line.includes('message 28')));
  for (let n = 41; n <= 45; n += 1) talk.say(BRUNO, `message ${n}`);
  assert.deepEqual(seen(anchor), before);
  assert.match(screen(anchor).grid.toLines().at(-4) ?? '', /17 more lines below: Page Down, End/);
  assert.equal(scrolled(log, anchor, logHeight, 1000), undefined, 'and the end is found again');
});

test('any size and any text gives a screen of exactly that size, markings at top and bottom', () => {
  const content = fc.string({
    unit: fc.constantFrom('a', ' ', '漢', '🚚', '\n', '\u001b', 'word ', '👩‍👩‍👧'),
    maxLength: 200,
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 24, max: 130 }),
      fc.integer({ min: 8, max: 40 }),
      fc.array(content),
      content,
      (columns, rows, texts, line) => {
        const talk = new Talk(1, 'Depot', [ANNA, BRUNO, CARLA]);
        for (const [i, text] of texts.entries()) talk.say(i % 2 === 0 ? BRUNO : ANNA, text);
        const { grid, cursor } = renderChat(
          { model: modelOf([talk], talk), line: lineOf(line) },
          { columns, rows },
          LOOK,
        );
        const lines = grid.toLines();
        assert.equal(lines.length, rows);
        assert.match(lines[0] ?? '', /^ +UNCLASSIFIED$/);
        assert.equal(lines.at(-1), lines[0]);
        assert.ok(cursor !== undefined && cursor.x < columns && cursor.y === rows - 3);
      },
    ),
  );
});
