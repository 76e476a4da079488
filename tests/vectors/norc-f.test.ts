import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import {
  type DeviceId,
  type Domain,
  idFromBytes,
  instant,
  type MessageId,
  parseDomain,
  parseUserAddress,
  type Result,
  toHex,
  utf8,
} from '@norc/protocol/base';
import { parseDocument, SERVER_CERTIFICATE, verifyServerCertificate } from '@norc/protocol/crypto';
import {
  checkRoute,
  conversationPseudonym,
  extendRoute,
  genesisHead,
  headAfter,
  type LogEntry,
  type LogHead,
  linkEntry,
  NORC_F_MESSAGES,
  NORC_F_SCHEMAS,
  verifyEntry,
  verifyReceipt,
} from '@norc/protocol/norc-f';
import { isJsonObject, labelSchema } from '@norc/protocol/wire';
import { mustBe } from '@norc/testkit';
import { norcFVectors } from '../../vectors/generate/norc-f.ts';
import { runVectors, VectorCase } from './harness.ts';
import { messageRunners } from './norc-messages.ts';

const messages = messageRunners(NORC_F_MESSAGES);

runVectors(
  'norc-f',
  {
    valid: { messages: messages.valid, log: validLog, route: validRoute, receipt: validReceipt },
    invalid: {
      ...{ messages: messages.invalid, log: invalidLog, receipt: receiptOf },
      route: (vector) => routeOf(vector),
    },
  },
  norcFVectors,
);

test('vectors/norc-f: every message is there', () => {
  const types = new Set(norcFVectors[0]?.cases.map((one) => one['type']));
  assert.deepEqual(types, new Set(Object.keys(NORC_F_SCHEMAS)));
});

function validLog(vector: VectorCase): void {
  const conversation = idFromBytes<LogHead['conversation']>(vector.hex('conversation'));
  let head = genesisHead(crypto, conversation, domain(vector.text('hub')));
  assert.equal(toHex(head.hash), vector.text('genesis'));
  for (const item of vector.list('entries')) {
    assert.ok(isJsonObject(item));
    const shown = new VectorCase(item, 'entry');
    const entry = entryOf(shown);
    assert.equal(toHex(head.hash), shown.text('previous_hash'));
    assert.ok(verifyEntry(crypto, head, entry).ok);
    assert.deepEqual(linkEntry(crypto, head, entry), entry);
    head = headAfter(head, entry);
  }
}

function invalidLog(vector: VectorCase): Result<unknown> {
  const head = vector.object('head');
  const conversation = idFromBytes<LogHead['conversation']>(head.hex('conversation'));
  return verifyEntry(
    crypto,
    { conversation, seq: head.number('seq'), hash: head.hex('hash') },
    entryOf(vector.object('entry')),
  );
}

function entryOf(shown: VectorCase): LogEntry {
  const kind = shown.text('kind');
  assert.ok(kind === 'commit' || kind === 'proposal' || kind === 'application');
  return {
    kind,
    seq: shown.number('seq'),
    messageId: idFromBytes<MessageId>(shown.hex('message_id')),
    sender: idFromBytes<DeviceId>(shown.hex('sender')),
    senderUser: mustBe(parseUserAddress(shown.text('sender_user'))),
    epoch: shown.number('epoch'),
    label: label(shown.text('label')),
    body: shown.hex('body'),
    welcome: shown.hex('welcome'),
    welcomeHash: shown.hex('welcome_hash'),
    hash: shown.hex('hash'),
    storedAt: instant(shown.number('stored_at')),
  };
}

function label(text: string): LogEntry['label'] {
  assert.ok(labelSchema.kind === 'choice' && labelSchema.values.includes(text));
  return text as LogEntry['label']; // one of the labels
}

function validRoute(vector: VectorCase): void {
  const route = mustBe(routeOf(vector));
  assert.equal(route.origin, vector.text('origin'));
  const self = domain(vector.text('self'));
  assert.deepEqual(extendRoute(route, self, domain(vector.text('next'))), {
    ok: true,
    value: [...route.domains, self],
  });
}

function routeOf(vector: VectorCase) {
  const domains = vector.list('route').map((each) => domain(String(each)));
  return checkRoute(domains, domain(vector.text('peer')), domain(vector.text('self')));
}

function validReceipt(vector: VectorCase): void {
  const { body } = mustBe(receiptOf(vector)).document;
  const conversation = idFromBytes<LogHead['conversation']>(vector.hex('conversation'));
  assert.deepEqual(body.conversation, conversationPseudonym(crypto, conversation));
}

function receiptOf(vector: VectorCase) {
  const certificate = utf8(vector.text('certificate'));
  const { org } = mustBe(parseDocument(SERVER_CERTIFICATE, certificate)).body;
  const pinned = { org, rootKey: vector.hex('root_key') };
  const now = instant(vector.number('now'));
  const key = verifyServerCertificate(crypto, certificate, { pinned, usage: 'server', now });
  return verifyReceipt(crypto, utf8(vector.text('receipt')), key.ok ? [key.value] : []);
}

function domain(text: string): Domain {
  return mustBe(parseDomain(text));
}
