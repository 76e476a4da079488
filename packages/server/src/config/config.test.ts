import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ConfigSources, parseConfig } from './parse.ts';
import { ConfigError } from './problem.ts';
import { redactedConfig } from './redact.ts';
import { editDistance, suggest } from './suggest.ts';

const FOLDER = '/srv/norc';
const ORGANISATION = '[organisation]\ndomains = ["alpha.example"]\n';

function read(text: string, rest: Partial<ConfigSources> = {}) {
  return parseConfig({ file: { path: 'norc.toml', folder: FOLDER, text }, folder: '/work', ...rest });
}

/** The problems, one line each. */
function wrong(text: string, rest: Partial<ConfigSources> = {}): string[] {
  try {
    read(text, rest);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  assert.fail('accepted');
}

test('one line is enough: everything else has a safe default', () => {
  const config = read(ORGANISATION);
  assert.deepEqual(config.organisation, { domains: ['alpha.example'], data: '/srv/norc/norc-data' });
  assert.deepEqual(config.listen, {
    host: '127.0.0.1',
    port: 8080,
    tlsCertificate: undefined,
    tlsKey: undefined,
    allowPlainNonLoopback: false,
    allowedOrigins: [],
    certificates: [],
  });
  assert.equal(config.federation.port, 8843);
  assert.equal(config.limits.messagesPerMinute, 60);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.listen) && Object.isFrozen(config.organisation.domains));
});

test('later sources win: built-in, file, environment, command line', () => {
  const file = `${ORGANISATION}[listen]\nport = 2\nhost = "::1"\n`;
  const fallbacks = { listen: { port: 1 }, log: { level: 'debug' } };
  const environment = {
    NORC_LISTEN_PORT: '3',
    NORC_ORGANISATION_DOMAINS: 'bravo.example, charlie.example',
    NORC_LOG_FILE: '',
  };
  const overrides = { listen: { port: 4 } };
  assert.equal(read(file, { fallbacks }).listen.port, 2);
  assert.equal(read(file, { fallbacks, environment }).listen.port, 3);
  const config = read(file, { fallbacks, environment, overrides });
  assert.deepEqual([config.listen.port, config.listen.host, config.log.level], [4, '::1', 'debug']);
  assert.deepEqual(config.organisation.domains, ['bravo.example', 'charlie.example']);
  assert.equal(config.log.file, undefined, 'an empty variable is not set');
});

test('paths start at the file that names them, or at the working folder', () => {
  const text = `${ORGANISATION}data = "../data"\n[log]\nfile = "/var/log/norc.log"\n`;
  assert.equal(read(text).organisation.data, '/srv/data');
  assert.equal(read(text).log.file, '/var/log/norc.log');
  assert.equal(read(text, { environment: { NORC_ORGANISATION_DATA: 'here' } }).organisation.data, '/work/here');
});

test('every wrong setting is named at once, with what was found and what is allowed', () => {
  const text = `
[organisation]
domains = ["Alpha.example"]
[listen]
port = "80a"
prot = 1
tls_key = "-----BEGIN PRIVATE KEY----- AAAA"
[lisen]
host = "x"
[limits]
messages_per_minute = 0
tls_key = 3
[log]
level = "loud"
[[federation.peer]]
domain = "bravo.example"
endpoints = ["bravo.example:0"]
endpoint = []
`;
  const environment = {
    NORC_FEDERATION_PORT: 'x',
    NORC_FEDERATION_PROT: '1',
    NORC_LISTN_PORT: '1',
    NORC_SERVER: 'a:1',
    PATH: '/',
  };
  assert.deepEqual(wrong(text, { environment }), [
    'norc.toml: listen.prot: found an unknown setting; allowed: did you mean "port"?',
    'norc.toml: [lisen]: found an unknown section; allowed: did you mean [listen]?',
    'norc.toml: limits.tls_key: found an unknown setting; allowed: "tls_key" belongs to [listen]',
    'environment: NORC_FEDERATION_PROT: found an unknown setting; allowed: did you mean NORC_FEDERATION_PORT?',
    'environment: NORC_LISTN_PORT: found an unknown setting; allowed: did you mean NORC_LISTEN_PORT?',
    'norc.toml: organisation.domains: found ["Alpha.example"]; allowed: a list of different domain names in lower case, at least one',
    'norc.toml: listen.port: found "80a"; allowed: a whole number from 0 to 65535',
    'environment: NORC_FEDERATION_PORT: found "x"; allowed: a whole number from 0 to 65535',
    'norc.toml: limits.messages_per_minute: found 0; allowed: a whole number from 1 to 1000000',
    'norc.toml: log.level: found "loud"; allowed: one of "trace", "debug", "info", "warn", "error", "silent"',
    'norc.toml: federation.peer[1].endpoint: found an unknown setting; allowed: did you mean "endpoints"?',
    'norc.toml: federation.peer[1].endpoints: found ["bravo.example:0"]; allowed: a list of "host", "host:port" or "[address]:port"',
  ]);
});

test('a setting that is required and absent is named with every place where it could be', () => {
  assert.deepEqual(wrong(''), [
    'norc.toml or environment: organisation.domains: found nothing; allowed: a list of different domain names in lower case, at least one',
  ]);
});

test('text that is not TOML is named by line and column, without quoting it', () => {
  const secret = 'hunter2hunter2';
  const problems = wrong(`${ORGANISATION}[listen]\ntls_key = "${secret}\n`);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /^norc\.toml: line 4, column \d+: found /);
  assert.ok(!problems.join().includes(secret));
  assert.equal(wrong('[__proto__]\nx = 1').length, 1);
});

test('no error shows a key that was pasted in place of its path, or any text that long', () => {
  const key = `-----BEGIN PRIVATE KEY-----\n${'MIGHAgEA'.repeat(20)}\n-----END PRIVATE KEY-----\n`;
  for (const name of ['tls_key', 'tls_certificate', 'host']) {
    const problems = wrong(`${ORGANISATION}[listen]\n${name} = """${key}"""\n`).join();
    assert.ok(problems.includes(`text of ${key.length} characters`) && !problems.includes('MIGH'), problems);
  }
  const config = read(`${ORGANISATION}[listen]\ntls_key = "MIGHAgEA"\ntls_certificate = "c.pem"\n`);
  const shown = redactedConfig(config);
  assert.equal(shown['listen']?.['tls_key'], '(set, not shown)');
  assert.equal(shown['listen']?.['tls_certificate'], '/srv/norc/c.pem');
  assert.ok(!JSON.stringify(shown).includes('MIGH'));
});

test('settings that contradict each other are named', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['[listen]\nhost = "0.0.0.0"', /listen\.host: found "0\.0\.0\.0" without TLS; allowed: a loopback address/],
    ['[listen]\ntls_certificate = "c"', /listen\.tls_key: found nothing/],
    ['[listen]\ntls_key = "k"', /listen\.tls_certificate: found nothing/],
    ['[listen]\nport = 8843', /federation\.port: found 8843, as listen\.port/],
    [
      '[limits]\npeer_connections_max = 3',
      /limits\.peer_connections_per_source_max: found 64; allowed: at most limits\.peer_connections_max, 3/,
    ],
    ['[protocol]\nversions = ["1.1"]', /protocol\.versions: found neither "2\.0" nor "1\.2"/],
    ['[protocol]\nversions = []', /protocol\.versions: found an empty list/],
  ];
  for (const [text, message] of cases) assert.match(wrong(`${ORGANISATION}${text}\n`).join('\n'), message);
  read(`${ORGANISATION}[listen]\nhost = "0.0.0.0"\nallow_plain_non_loopback = true\n`);
  read(`${ORGANISATION}[listen]\nhost = "0.0.0.0"\ntls_certificate = "c"\ntls_key = "k"\n`);
  read(`${ORGANISATION}[listen]\nport = 8843\n[federation]\nhost = "127.0.0.2"\n`);
});

test('the devices’ certificates of several organisations are read, each for one that lives here', () => {
  const table = (domain: string, more = '') =>
    `[[listen.certificate]]\ndomain = "${domain}"\ncertificate = "${domain}.pem"\nkey = "/k/${domain}.key"\n${more}`;
  const config = read(`${ORGANISATION}[listen]\nhost = "0.0.0.0"\n${table('alpha.example')}`);
  assert.deepEqual(config.listen.certificates, [
    { domain: 'alpha.example', certificate: '/srv/norc/alpha.example.pem', key: '/k/alpha.example.key' },
  ]);
  const cases: readonly (readonly [string, RegExp])[] = [
    [table('carol.example'), /listen\.certificate: found "carol\.example"; allowed: one of organisation\.domains/],
    [table('carol.example'), /listen\.certificate: found none for alpha\.example/],
    [table('alpha.example') + table('alpha.example'), /certificate\[2\]\.domain: found "alpha\.example" again/],
    [table('alpha.example', 'pem = 1\n'), /certificate\[1\]\.pem: found an unknown setting/],
    ['[[listen.certificate]]\ndomain = "alpha.example"\n', /certificate\[1\]\.key: found nothing/],
    ['[listen]\ncertificate = "c.pem"\n', /listen\.certificate: found .*; allowed: tables/],
  ];
  for (const [text, message] of cases) assert.match(wrong(`${ORGANISATION}${text}`).join('\n'), message);
});

test('static peers are read with their endpoints and domain proof', () => {
  const peer = '[[federation.peer]]\ndomain = "bravo.example"\n';
  const config = read(
    `${ORGANISATION}${peer}endpoints = ["127.0.0.1:9843", "[::1]"]\ntrust_txt = ["norc-trust=v1; root=x"]\n`,
  );
  assert.deepEqual(config.federation.peers, [
    {
      domain: 'bravo.example',
      endpoints: [
        { host: '127.0.0.1', port: 9843 },
        { host: '::1', port: 8843 },
      ],
      trustTxt: ['norc-trust=v1; root=x'],
    },
  ]);
  assert.match(
    wrong(ORGANISATION + peer).join(),
    /peer\[1\]\.endpoints: found nothing; allowed: endpoints, trust_txt or both/,
  );
  const twice = `${peer}endpoints = ["a"]\n`;
  assert.match(wrong(ORGANISATION + twice + twice).join(), /peer\[2\]\.domain: found "bravo\.example" again/);
  assert.match(
    wrong(`${ORGANISATION}[federation]\npeer = 3\n`).join(),
    /federation\.peer: found a number; allowed: tables/,
  );
});

test('values of the wrong kind are refused for every setting, and nothing else ever happens', () => {
  const value = fc.oneof(
    fc.string(),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.date(),
    fc.array(fc.string()),
    fc.dictionary(fc.string(), fc.string()),
  );
  const table = fc.dictionary(
    fc.constantFrom('listen', 'federation', 'limits', 'log', 'nonsense'),
    fc.oneof(value, fc.dictionary(fc.constantFrom('port', 'host', 'peer', 'level', 'file', 'tls_key', 'x'), value)),
  );
  fc.assert(
    fc.property(table, (overrides) => {
      try {
        read(ORGANISATION, { overrides });
      } catch (error) {
        assert.ok(error instanceof ConfigError && error.problems.length > 0, String(error));
      }
    }),
  );
});

test('suggestions are near, or not made', () => {
  assert.equal(editDistance('prot', 'port'), 1);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(suggest('domian', ['domains', 'data']), 'domains');
  assert.equal(suggest('colour', ['domains', 'data']), undefined);
});
