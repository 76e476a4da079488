import assert from 'node:assert/strict';
import {
  createGroupViews,
  createMlsEngine,
  encodeAuthenticatedData,
  type MlsGroup,
  type MlsOptions,
  parseAuthenticatedData,
} from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import { domainOf, instant, parseDeviceId, parseUserAddress, reject, toHex } from '@norc/protocol/base';
import { decodeContent, encodeContent } from '@norc/protocol/norc-c';
import { deriveSecret } from '../../packages/mls/src/library.ts';
import { createHkdf } from '../../packages/mls/src/provider/hkdf.ts';
import { createHpke } from '../../packages/mls/src/provider/hpke.ts';
import { createNorcSuite } from '../../packages/mls/src/suite.ts';
import { TlsWriter } from '../../packages/mls/src/tls.ts';
import { mlsVectors } from '../../vectors/generate/mls.ts';
import { must } from '../mls/fixtures.ts';
import { runVectors, VectorCase } from './harness.ts';

const provider = createNodeMlsProvider();
const { crypto, xWing } = provider;
const hkdf = createHkdf(crypto, 'blake3');
const hpke = createHpke({ kem: xWing, kdf: hkdf, aead: { id: 3, ...crypto.aead['chacha20-poly1305'] } });
const suite = createNorcSuite(provider);

const nested = (vector: VectorCase, field: string) => vector.list(field).map((value) => new VectorCase(value, field));

/** Knows the devices that a case lists, and nobody else. */
function optionsOf(vector: VectorCase): MlsOptions {
  const devices = nested(vector, 'devices');
  return {
    provider,
    clock: { now: () => instant(vector.number('now')) },
    async verifyCredential(certificates, key) {
      const device = devices.find(
        (known) =>
          known.text('certificate') === toHex(certificates[0] ?? new Uint8Array(0)) &&
          known.text('public_key') === toHex(key),
      );
      if (device === undefined) return reject('certificate_invalid', 'not listed');
      const user = must(parseUserAddress(device.text('user')));
      return {
        ok: true,
        value: { deviceId: must(parseDeviceId(device.text('device_id'))), user, org: domainOf(user) },
      };
    },
  };
}

async function followAsMember(vector: VectorCase): Promise<void> {
  const engine = createMlsEngine(optionsOf(vector));
  const secret = new TlsWriter()
    .uint8(1)
    .vector(vector.hex('init_private_key'))
    .vector(vector.hex('leaf_private_key'))
    .vector(vector.hex('key_package'))
    .finish();
  const signPrivateKey = vector.hex('signature_private_key');
  const { publicKey } = crypto.ed25519.keyPair(() => signPrivateKey);
  const own = nested(vector, 'devices').find((device) => device.text('public_key') === toHex(publicKey));
  assert.ok(own);
  const identity = { certificates: [own.hex('certificate')], signPrivateKey, publicKey };
  const group = must(await engine.join({ welcome: vector.hex('welcome'), secret, identity }));
  for (const step of nested(vector, 'steps')) await receiveStep(group, step);
}

async function receiveStep(group: MlsGroup, step: VectorCase): Promise<void> {
  const received = must(await group.receive(step.hex('bytes')));
  assert.equal(received.kind, step.text('kind'));
  if (received.kind === 'application') {
    assert.equal(received.sender.leafIndex, step.number('sender_leaf'));
    assert.ok(received.content.kind === 'text');
    assert.equal(received.content.body.text, step.text('text'));
  }
  if (received.kind !== 'commit') return;
  assert.equal(received.selfRemoved, step.has('removed'));
  assert.equal(received.epoch, step.number('epoch'));
  if (received.selfRemoved) return;
  assert.equal(toHex(group.treeHash), step.text('tree_hash'));
  assert.equal(toHex(group.epochAuthenticator), step.text('epoch_authenticator'));
}

async function followAsServer(vector: VectorCase): Promise<void> {
  let view = must(await createGroupViews(optionsOf(vector)).fromGroupInfo(vector.hex('group_info')));
  for (const step of nested(vector, 'steps')) {
    const change = must(await view.apply(step.hex('bytes')));
    assert.equal(change.kind, step.text('kind'));
    view = change.view;
    if (change.kind === 'proposal') continue;
    assert.equal(view.epoch, step.number('epoch'));
    assert.equal(toHex(view.treeHash), step.text('tree_hash'));
  }
}

runVectors(
  'mls',
  {
    valid: {
      'x-wing': (vector) => {
        const seed = vector.hex('seed');
        assert.equal(toHex(xWing.publicKeyOf(seed)), vector.text('public_key'));
        const secret = xWing.decapsulate(seed, vector.hex('encapsulation'));
        assert.equal(toHex(secret ?? new Uint8Array(0)), vector.text('shared_secret'));
        assert.equal(toHex(xWing.derive(vector.hex('ikm')).privateKey), vector.text('derived_seed'));
      },
      'hkdf-blake3': (vector) => {
        const prk = hkdf.extract(vector.hex('salt'), vector.hex('ikm'));
        assert.equal(toHex(prk), vector.text('prk'));
        assert.equal(toHex(hkdf.expand(prk, vector.hex('info'), vector.number('length'))), vector.text('okm'));
      },
      hpke: (vector) => {
        const [key, encapsulation] = [vector.hex('private_key'), vector.hex('encapsulation')];
        const opened = hpke.open(key, encapsulation, vector.hex('info'), vector.hex('aad'), vector.hex('ciphertext'));
        assert.ok(opened);
        assert.equal(toHex(opened), vector.text('plaintext'));
      },
      'derive-secret': async (vector) => {
        const derived = await deriveSecret(vector.hex('secret'), vector.name, suite.impl.kdf);
        assert.equal(toHex(derived), vector.text('derived'));
      },
      'authenticated-data': (vector) => {
        const data = must(parseAuthenticatedData(vector.hex('bytes')));
        assert.deepEqual(
          [data.label, data.conversation, data.messageId],
          [vector.text('label'), vector.text('conversation'), vector.text('message_id')],
        );
        assert.equal(toHex(encodeAuthenticatedData(data)), vector.text('bytes'));
      },
      content: (vector) => {
        const value = must(decodeContent(vector.hex('bytes')));
        assert.deepEqual(value, JSON.parse(JSON.stringify(vector.json('value'))));
        assert.equal(toHex(encodeContent(value)), vector.text('bytes'));
      },
      'key-package': async (vector) => {
        const bytes = vector.hex('bytes');
        assert.equal(toHex(bytes.subarray(6, 8)), 'f101');
        const info = must(await createMlsEngine(optionsOf(vector)).verifyKeyPackage(bytes));
        assert.equal(toHex(info.ref), vector.text('ref'));
        assert.equal(info.lastResort, vector.bool('last_resort'));
        assert.equal(info.notAfter, vector.number('not_after'));
      },
      'passive-member': followAsMember,
      'group-view': followAsServer,
    },
    invalid: {
      'authenticated-data': (vector) => parseAuthenticatedData(vector.hex('bytes')),
      content: (vector) => decodeContent(vector.hex('bytes')),
      'key-package': (vector) => createMlsEngine(optionsOf(vector)).verifyKeyPackage(vector.hex('bytes')),
      commit: async (vector) => {
        const view = must(await createGroupViews(optionsOf(vector)).fromGroupInfo(vector.hex('group_info')));
        return view.apply(vector.hex('bytes'));
      },
    },
  },
  mlsVectors,
);
