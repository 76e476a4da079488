import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Domain, ERRORS, type ErrorName, LEVELS, type TrustLevel, type UserAddress } from '@norc/protocol/base';
import { ANNA, at, BRUNO } from '../store/samples.ts';
import { causeOfError, type Problem, problemOfError } from './causes.ts';
import { en, highestMarking, plainContext } from './messages-en.ts';
import type { Notice } from './notices.ts';
import { titleOf } from './view.ts';

const context = plainContext(ANNA, () => '10:14');
const CARLA = 'carla@alpha.example' as UserAddress; // well-formed

test('every error code has a sentence for the person whom it stops', () => {
  for (const name of Object.keys(ERRORS) as ErrorName[]) {
    const sentence = en.problem(problemOfError(name), context);
    assert.match(sentence, /^[A-Z].*\.$/, `${name} (${causeOfError(name)})`);
    assert.doesNotMatch(sentence, /undefined|null|\[object|NaN/, name);
  }
});

test('sentences name the details that are known', () => {
  const cases: readonly [Problem, string][] = [
    [
      { cause: 'trust.revoked', org: 'mod.example', at: at(1) },
      'mod.example was blocked at 10:14. Your message was not sent. Ask your administrator.',
    ],
    [
      { cause: 'trust.too_low', label: 'secret', level: 'verified' },
      "SECRET can't be sent here: this conversation is Verified and allows up to CONFIDENTIAL.",
    ],
    [
      { cause: 'trust.too_low', label: 'confidential', level: 'basic', org: 'mod.example' },
      "CONFIDENTIAL can't go to mod.example: its level is Basic and allows up to OFFICIAL USE ONLY. Use a lower marking, or ask your administrator.",
    ],
    [
      { cause: 'trust.too_low', label: 'nato_restricted', level: 'verified', org: 'mod.example' },
      'NATO RESTRICTED needs NATO clearance on both sides, which mod.example lacks. Ask your administrator.',
    ],
    [
      { cause: 'trust.below_floor', org: 'mod.example', level: 'basic', floor: 'verified' },
      "mod.example can't be in here: its level is Basic, and this conversation needs Verified. Start a new conversation with it.",
    ],
    [
      { cause: 'trust.withheld', user: BRUNO, org: 'mod.example', label: 'secret', level: 'basic' },
      'A message from bruno marked SECRET is not shown: Basic with mod.example allows up to OFFICIAL USE ONLY. Ask your administrator.',
    ],
    [
      { cause: 'trust.withheld', user: BRUNO, org: 'mod.example', label: 'secret' },
      'A message from bruno marked SECRET is not shown: trust with mod.example is over. Ask your administrator.',
    ],
    [
      { cause: 'trust.suspended', org: 'mod.example' },
      'Trust with mod.example is suspended. Your message is kept and sent when that is lifted. Your administrators know how long.',
    ],
    [
      { cause: 'trust.stale', org: 'mod.example' },
      'Nothing was heard from mod.example about blocked partners for too long. Your message is kept and sent when that is settled.',
    ],
    [
      { cause: 'trust.expiring', org: 'mod.example', days: 6 },
      'The agreement with mod.example ends in 6 days. Your administrators know.',
    ],
    [{ cause: 'message.too_big', bytesMax: 49_152 }, 'It is too big: the limit is 48 KiB. Send it in parts.'],
    [{ cause: 'key.before_join' }, 'Earlier messages are not available on this device.'],
  ];
  for (const [problem, sentence] of cases) assert.equal(en.problem(problem, context), sentence);
});

test('no word that people should not have to know', () => {
  const jargon =
    /\b(session|cross-signing|identity key|ratchet|handshake|MITM|TOFU|federation|epoch|hub|commit|MLS)\b/i;
  for (const name of Object.keys(ERRORS) as ErrorName[]) {
    assert.doesNotMatch(en.problem(problemOfError(name), context), jargon);
  }
  for (const level of Object.keys(LEVELS) as TrustLevel[]) assert.doesNotMatch(en.level(level, 'mod.example'), jargon);
});

test('states are words, with numbers only where there is more than one other person', () => {
  assert.equal(en.state({ state: 'sending' }, context), 'Sending');
  assert.equal(en.state({ state: 'delivered', delivered: 1, read: 0, of: 1 }, context), 'Delivered');
  assert.equal(en.state({ state: 'read', delivered: 2, read: 2, of: 5 }, context), 'Read by 2 of 5');
  const failed = en.state({ state: 'failed', problem: { cause: 'trust.none', org: 'x.example' } }, context);
  const waits = en.state({ state: 'sending', waits: { cause: 'trust.suspended', org: 'x.example' } }, context);
  assert.match(waits, /^Waiting: Trust with x\.example is suspended\./);
  assert.equal(failed, 'Not sent: Your organisation and x.example have no agreement. Ask your administrator.');
});

test('notices say who did what, and own acts are own', () => {
  const cases: readonly [Notice, string][] = [
    [{ notice: 'joined', users: [BRUNO, CARLA], by: ANNA }, 'You added bruno and carla.'],
    [{ notice: 'joined', users: [ANNA], by: BRUNO }, 'bruno added you.'],
    [{ notice: 'device_added', user: BRUNO, count: 1 }, 'bruno added a device.'],
    [
      { notice: 'below_floor', org: 'mod.example' as Domain, by: BRUNO },
      'bruno added people of mod.example, whose level is too low for this conversation. Nothing more is sent from this device. Tell your administrator.',
    ],
  ];
  for (const [notice, sentence] of cases) assert.equal(en.notice(notice, context), sentence);
});

test('a level carries what the registry says', () => {
  assert.equal(highestMarking('basic'), 'OFFICIAL USE ONLY');
  assert.equal(highestMarking('nato'), 'TOP SECRET');
  assert.equal(highestMarking('untrusted'), 'nothing');
});

test('a conversation without a title is named by its other people', () => {
  assert.equal(titleOf({ participants: [ANNA, BRUNO] }, ANNA), 'bruno');
  assert.equal(titleOf({ participants: [BRUNO, ANNA, CARLA] }, ANNA), 'carla, bruno');
  assert.equal(titleOf({ participants: [ANNA] }, ANNA), 'Notes to yourself');
  assert.equal(titleOf({ title: 'Depot', participants: [ANNA, BRUNO] }, ANNA), 'Depot');
});
