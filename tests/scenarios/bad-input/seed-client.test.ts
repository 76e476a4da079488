import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { concatBytes, fromBase64, toBase64, toHex } from '@norc/protocol/base';
import { canonicalJson, isJsonObject, type JsonObject, type JsonValue } from '@norc/protocol/wire';
import { Mailbox, openSocket, TestDevice, type TestServer, TestServers } from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;

before(async () => {
  world = await TestServers.start('alpha.example');
  alpha = world.at(0);
});
after(() => world.dispose());

/** The seed prototype's client, as its document describes it. */
async function seedClient(versions: readonly string[] = ['1.1', '1.0']) {
  const socket = openSocket(alpha.running.deviceAddress.port, alpha.domain, '/ws');
  const received = new Mailbox<string>();
  socket.on('message', (data) => received.put(String(data)));
  socket.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => socket.once('close', (_, reason) => resolve(String(reason))));
  await new Promise((resolve) => socket.once('open', resolve));
  const keys = nodeCrypto.x25519.keyPair((length) => nodeRandom.bytes(length));
  const hello = {
    type: 'client_hello',
    client_versions: versions,
    preferred_version: versions[0] ?? '',
    capabilities: ['messaging'],
    nonce: toBase64(nodeRandom.bytes(16)),
    ephemeral_pub: toBase64(keys.publicKey),
  };
  socket.send(JSON.stringify(hello));
  const answer: JsonValue = JSON.parse(await received.take('server_hello', () => true));
  const register = async (fields: JsonObject): Promise<JsonObject> => {
    socket.send(JSON.stringify({ type: 'device_register', ...fields }));
    const text: JsonValue = JSON.parse(await received.take('register_response', () => true));
    return isJsonObject(text) ? text : assert.fail();
  };
  return { socket, received, ended, hello, answer: isJsonObject(answer) ? answer : assert.fail(), register };
}

const uuid = () => globalThis.crypto.randomUUID();
const publicKey = () => toHex(nodeCrypto.ed25519.keyPair((length) => nodeRandom.bytes(length)).publicKey);

test("the seed prototype's client says hello and registers, as its document says", async () => {
  const { socket, hello, answer, register } = await seedClient();
  assert.equal(answer['negotiated_version'], '1.1');
  const { transcript_hash: transcript, ...rest } = answer;
  const hash = nodeCrypto.blake3(concatBytes(canonicalJson(hello), canonicalJson(rest)));
  assert.deepEqual(fromBase64(String(transcript)), hash);
  const device = { device_id: uuid(), public_key: publicKey(), device_info: null };
  assert.equal((await register(device))['status'], 'registered');
  assert.equal((await register(device))['status'], 'already_registered');
  assert.equal((await register({ ...device, device_id: uuid(), public_key: 'no key' }))['status'], 'invalid_key');
  assert.equal((await register({ ...device, device_id: uuid(), public_key: '00' }))['status'], 'invalid_key');
  socket.close();
});

test('1.0 alone is spoken too, and the registration is remembered', async () => {
  const device = { device_id: uuid(), public_key: publicKey() };
  const first = await seedClient(['1.0']);
  assert.equal(first.answer['negotiated_version'], '1.0');
  assert.equal((await first.register(device))['status'], 'registered');
  first.socket.close();
  const second = await seedClient();
  assert.equal((await second.register(device))['status'], 'already_registered');
  second.socket.close();
});

for (const message of ['{"type":"message_send"}', '{"type":"client_hello"}', 'no JSON', nodeRandom.bytes(200)]) {
  test(`such a session can do nothing else: ${typeof message === 'string' ? message : 'a frame'}`, async () => {
    const witness = await TestDevice.enrol(alpha, `w${uuid().slice(0, 8)}@alpha.example`, { stock: 0 });
    const { socket, ended, received } = await seedClient();
    socket.send(message);
    const error: JsonValue = JSON.parse(await received.take('the refusal', () => true));
    assert.ok(isJsonObject(error) && JSON.stringify(error).includes('hybrid_required'));
    assert.equal(await ended, 'hybrid_required');
    assert.equal(await witness.session.settled(), 'open');
  });
}

test('a registration of the prototype is no device of the organisation', async () => {
  const { socket, register } = await seedClient();
  const id = uuid();
  await register({ device_id: id, public_key: publicKey() });
  const known = await alpha.node().directory.device(id.replaceAll('-', '') as never); // the same id in hexadecimal
  assert.equal(known, undefined);
  socket.close();
});
