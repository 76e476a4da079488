import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import { parseConfig } from './parse.ts';
import type { Setting } from './setting.ts';
import { allSettings, keyOf, variableOf } from './settings.ts';

const ROOT = new URL('../../../../', import.meta.url);
const example = readFileSync(new URL('deploy/norc.example.toml', ROOT), 'utf8');
const manual = readFileSync(new URL('docs/configuration.md', ROOT), 'utf8');

/** The example with its commented settings (and peers) made live. */
const everything = example.replace(/^# (?=\[\[|[a-z_]+ = )/gm, '');

test('the example file is a valid configuration, as it is and with every line made live', () => {
  for (const text of [example, everything]) {
    const config = parseConfig({ file: { path: 'norc.example.toml', folder: '/srv', text }, folder: '/srv' });
    assert.deepEqual(config.organisation.domains, ['alpha.example']);
  }
});

test('the example file has every setting, and its live lines are the defaults', () => {
  const live: Record<string, unknown> = parse(example);
  const shown: Record<string, unknown> = parse(everything);
  for (const { section, name, setting } of allSettings()) {
    const key = keyOf(name);
    assert.ok(at(shown, section, key) !== undefined, `${section}.${key} is not in deploy/norc.example.toml`);
    if (!setting.required) assert.deepEqual(at(live, section, key), plain(setting), `${section}.${key}`);
  }
  const peer = at(shown, 'federation', 'peer');
  assert.ok(Array.isArray(peer));
  assert.deepEqual(Object.keys(peer[0] as object), ['domain', 'endpoints', 'trust_txt']); // a TOML table
  const certificate = at(shown, 'listen', 'certificate');
  assert.ok(Array.isArray(certificate));
  assert.deepEqual(Object.keys(certificate[0] as object), ['domain', 'certificate', 'key']); // a TOML table
});

test('the manual has every setting with its variable and default, and no other', () => {
  const rows = manual.split('\n').filter((line) => /^\| `[a-z_.]+` \|/.test(line));
  const documented = new Map(rows.map((row) => [row.split('`')[1] ?? '', row]));
  for (const { section, name, setting } of allSettings()) {
    const row = documented.get(`${section}.${keyOf(name)}`);
    assert.ok(row !== undefined, `${section}.${keyOf(name)} is not in docs/configuration.md`);
    assert.ok(row.includes(`\`${variableOf(section, name)}\``), row);
    const scalar = typeof setting.fallback === 'object' ? undefined : setting.fallback;
    if (scalar !== undefined) assert.ok(row.includes(`| \`${scalar}\` |`), row);
    documented.delete(`${section}.${keyOf(name)}`);
  }
  assert.deepEqual([...documented.keys()], []);
});

test('every TOML block of the manual is a valid configuration', () => {
  const blocks = [...manual.matchAll(/```toml\n(.*?)```/gs)].map((match) => match[1] ?? '');
  assert.equal(blocks.length, 4);
  for (const text of blocks) {
    const fallbacks = { organisation: { domains: ['alpha.example'] } };
    parseConfig({ fallbacks, file: { path: 'docs', folder: '/srv', text }, folder: '/srv' });
  }
});

function at(table: Record<string, unknown>, section: string, key: string): unknown {
  const content = table[section];
  return typeof content === 'object' && content !== null
    ? Object.entries(content).find(([name]) => name === key)?.[1]
    : undefined;
}

function plain(setting: Setting<unknown>): unknown {
  return Array.isArray(setting.fallback) ? [...setting.fallback] : setting.fallback;
}
