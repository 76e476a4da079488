import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SessionRefused, TestDevice, TestLink, type TestServer, TestServers, TestSession } from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;
let bravo: TestServer;
let witness: TestDevice;

before(async () => {
  world = await TestServers.start('alpha.example', 'bravo.example');
  [alpha, bravo] = [world.at(0), world.at(1)];
  witness = await TestDevice.enrol(alpha, 'wim@alpha.example');
});
after(() => world.dispose());

/** Somebody on the way takes a version out of a hello's list. */
const strip = (version: string) => (hello: string) => hello.replace(`"${version}",`, '').replace(`,"${version}"`, '');

function refusedWith(code: string) {
  return (error: unknown) => error instanceof SessionRefused && error.code === code;
}

const deviceLists = [
  { name: 'only 3.0', options: { versions: ['3.0'] }, code: 'no_compatible_version' },
  {
    name: 'three majors',
    options: { alterHello: (hello: string) => hello.replace('"2.0"', '"3.0","2.0"') },
    code: 'version_span',
  },
  { name: 'a list from which 2.0 was stripped', options: { alterHello: strip('2.0') }, code: 'downgrade_refused' },
  {
    name: 'a list to which 1.1 was added',
    options: { alterHello: (hello: string) => hello.replace('"1.2"', '"1.2","1.1"') },
    code: 'transcript_mismatch',
  },
];

for (const { name, options, code } of deviceLists) {
  test(`a device with ${name} gets no session: ${code}`, async () => {
    const device = new TestDevice(alpha, 'ann@alpha.example', options);
    await assert.rejects(device.connect(await device.invite()), refusedWith(code));
    assert.equal(await witness.session.settled(), 'open');
  });
}

const linkLists = [
  { name: 'only 3.0', options: { versions: ['3.0'] }, answer: 'closed' },
  {
    name: 'three majors',
    options: { alterHello: (hello: string) => hello.replace('"2.0"', '"3.0","2.0"') },
    answer: 'closed',
  },
  { name: 'a list from which 2.0 was stripped', options: { alterHello: strip('2.0') }, answer: 'downgrade_refused' },
  {
    name: 'the versions of the prototype',
    options: { alterHello: (hello: string) => hello.replace('"1.2"', '"1.1"').replace('"2.0"', '"1.0"') },
    answer: 'closed',
  },
];

for (const { name, options, answer } of linkLists) {
  test(`a server with ${name} gets no link`, async () => {
    const link = await TestLink.dial(bravo, alpha);
    assert.equal(await link.hello(alpha, options), answer);
    link.close();
    await link.ended();
    assert.equal(await witness.session.settled(), 'open');
  });
}

test('a device that has seen 2.0 does not take an older server for the same one', async () => {
  await using old = await TestServers.start({ domains: ['alpha.example'], versions: ['1.2'] });
  const device = await TestDevice.enrol(old.at(0), 'ann@alpha.example');
  await device.disconnect();
  const { port } = old.at(0).running.deviceAddress;
  const options = { port, domain: device.domain, rootKey: old.at(0).rootKey(), device: device.own, newestMajorSeen: 2 };
  await assert.rejects(TestSession.open(options), refusedWith('downgrade_refused'));
});
