import { parse, TomlError } from 'smol-toml';
import { checkTogether } from './checks.ts';
import { readListenCertificates } from './listen-certificates.ts';
import { readPeers } from './peers.ts';
import { ConfigError, type ConfigProblem, describeFound } from './problem.ts';
import type { Setting } from './setting.ts';
import { allSettings, ENVIRONMENT_PREFIX, keyOf, SETTINGS, type ServerConfig, variableOf } from './settings.ts';
import { editDistance, suggest } from './suggest.ts';
import { isTable, type RawTable } from './table.ts';

/** Where settings come from; a later one wins: fallbacks, file, environment, overrides. */
export interface ConfigSources {
  /** The program's own, where neither the file nor the environment says anything; shaped like the file. */
  readonly fallbacks?: RawTable;
  readonly file?: { readonly path: string; readonly folder: string; readonly text: string };
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** From the command line; shaped like the file. */
  readonly overrides?: RawTable;
  /** What relative paths outside the file start from. */
  readonly folder: string;
}

interface Layer {
  readonly source: string;
  readonly folder: string;
  readonly table: RawTable;
  /** How a problem names a setting of this layer. */
  readonly nameOf: (section: string, name: string) => string;
}

/** Reads and checks all settings. Throws ConfigError that names every wrong one. */
export function parseConfig(sources: ConfigSources): ServerConfig {
  const problems: ConfigProblem[] = [];
  const layers = layersOf(sources, problems);
  const defaultFolder = sources.file?.folder ?? sources.folder;
  const values: Record<string, Record<string, unknown>> = {};
  for (const entry of allSettings()) {
    const value = readSetting(entry, layers, defaultFolder, problems);
    values[entry.section] = { ...values[entry.section], [entry.name]: value };
  }
  const peerLayer = lastWith(layers, 'federation', 'peer');
  const peers = peerLayer === undefined ? [] : readPeers(peerLayer.source, peerLayer.table['federation'], problems);
  const hosts = lastWith(layers, 'listen', 'certificate');
  const certificates =
    hosts === undefined ? [] : readListenCertificates(hosts.source, hosts.folder, hosts.table['listen'], problems);
  // Each value was read by the setting that gives the field its type.
  const config = {
    ...values,
    listen: { ...values['listen'], certificates },
    federation: { ...values['federation'], peers },
  } as unknown as ServerConfig;
  if (problems.length === 0) problems.push(...checkTogether(config, sourcesUsed(layers)));
  if (problems.length > 0) throw new ConfigError(problems);
  return deepFreeze(config);
}

/** Tables of tables are not merged: the last layer that has any counts. */
function lastWith(layers: readonly Layer[], section: string, name: string): Layer | undefined {
  return layers.findLast(({ table }) => {
    const place = table[section];
    return isTable(place) && name in place;
  });
}

/** Tables of tables beside the settings of a section. */
const TABLES: Readonly<Record<string, string>> = { federation: 'peer', listen: 'certificate' };

function sourcesUsed(layers: readonly Layer[]): string {
  const used = layers.filter((layer) => Object.keys(layer.table).length > 0).map((layer) => layer.source);
  return used.length === 0 ? 'built-in settings' : used.join(' and ');
}

function layersOf(sources: ConfigSources, problems: ConfigProblem[]): readonly Layer[] {
  const dotted = (section: string, name: string) => `${section}.${keyOf(name)}`;
  const layers: Layer[] = [];
  const add = (source: string, table: RawTable | undefined, folder: string) => {
    if (table === undefined) return;
    problems.push(...unknownKeys(source, table));
    layers.push({ source, folder, table, nameOf: dotted });
  };
  add('built-in settings', sources.fallbacks, sources.folder);
  if (sources.file !== undefined) {
    add(sources.file.path, parseToml(sources.file.path, sources.file.text), sources.file.folder);
  }
  const environment = fromEnvironment(sources.environment ?? {}, problems);
  layers.push({ source: 'environment', folder: sources.folder, table: environment, nameOf: variableOf });
  add('command line', sources.overrides, sources.folder);
  return layers;
}

const TOML_DEPTH_MAX = 16;

/** Throws ConfigError that names line and column. */
export function parseToml(source: string, text: string): RawTable {
  try {
    return parse(text, { integersAsBigInt: 'asNeeded', unsafeKeyBehaviour: 'throw', maxDepth: TOML_DEPTH_MAX });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The message quotes the lines around the fault, which may hold a secret: only its first line is kept.
    const [reason = ''] = error.message.replace('Invalid TOML document: ', '').split('\n');
    const key = `line ${error.line}, column ${error.column}`;
    throw new ConfigError([{ source, key, found: reason, allowed: 'TOML (https://toml.io)' }]);
  }
}

function readSetting(
  { section, name, setting }: ReturnType<typeof allSettings>[number],
  layers: readonly Layer[],
  defaultFolder: string,
  problems: ConfigProblem[],
): unknown {
  const key = keyOf(name);
  let result: unknown;
  let given = false;
  for (const { source, folder, table, nameOf } of layers) {
    const place = table[section];
    if (!isTable(place) || !Object.hasOwn(place, key)) continue;
    given = true;
    const value = setting.read(place[key], folder);
    if (value !== undefined) result = value;
    else {
      const found = describeFound(place[key], setting.secret);
      problems.push({ source, key: nameOf(section, name), found, allowed: setting.allowed });
    }
  }
  if (given) return result;
  if (setting.required) {
    const source = layers.map((layer) => layer.source).join(' or ');
    problems.push({ source, key: `${section}.${key}`, found: 'nothing', allowed: setting.allowed });
  }
  return setting.fallback === undefined ? undefined : setting.read(setting.fallback, defaultFolder);
}

const SECTIONS: Readonly<Record<string, Readonly<Record<string, Setting<unknown>>>>> = SETTINGS;

function unknownKeys(source: string, table: RawTable): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const [section, content] of Object.entries(table)) {
    const settings = Object.hasOwn(SECTIONS, section) ? SECTIONS[section] : undefined;
    if (settings === undefined) {
      problems.push({ source, key: `[${section}]`, found: 'an unknown section', allowed: sectionAdvice(section) });
    } else if (!isTable(content)) {
      problems.push({ source, key: section, found: describeFound(content, true), allowed: `a section [${section}]` });
    } else {
      const known = [...Object.keys(settings).map(keyOf), ...(TABLES[section] === undefined ? [] : [TABLES[section]])];
      const unknown = Object.keys(content).filter((key) => !known.includes(key));
      for (const key of unknown) {
        problems.push({
          source,
          key: `${section}.${key}`,
          found: 'an unknown setting',
          allowed: keyAdvice(key, known),
        });
      }
    }
  }
  return problems;
}

function sectionAdvice(section: string): string {
  const meant = suggest(section, Object.keys(SECTIONS));
  if (meant !== undefined) return `did you mean [${meant}]?`;
  return Object.keys(SECTIONS)
    .map((name) => `[${name}]`)
    .join(', ');
}

function keyAdvice(key: string, known: readonly string[]): string {
  const elsewhere = allSettings().find(({ name }) => keyOf(name) === key);
  const meant = suggest(key, known);
  if (elsewhere !== undefined) return `"${key}" belongs to [${elsewhere.section}]`;
  return meant === undefined ? known.join(', ') : `did you mean "${meant}"?`;
}

/** Variables that are set and not empty, as a table. A name that is almost one of ours is a mistake; others are not ours. */
function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  problems: ConfigProblem[],
): RawTable {
  const table: Record<string, Record<string, unknown>> = {};
  const known = new Map(allSettings().map((entry) => [variableOf(entry.section, entry.name), entry]));
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || text === undefined || text === '') continue;
    const entry = known.get(variable);
    if (entry !== undefined) {
      table[entry.section] = { ...table[entry.section], [keyOf(entry.name)]: entry.setting.fromText(text) };
    } else if (isMistyped(variable, [...known.keys()])) {
      const allowed = `did you mean ${suggest(variable, [...known.keys()])}?`;
      problems.push({ source: 'environment', key: variable, found: 'an unknown setting', allowed });
    }
  }
  return table;
}

const TYPO_DISTANCE_MAX = 2;

function isMistyped(variable: string, known: readonly string[]): boolean {
  const inSection = Object.keys(SECTIONS).some((section) =>
    variable.startsWith(`${ENVIRONMENT_PREFIX}${section.toUpperCase()}_`),
  );
  return inSection || known.some((name) => editDistance(variable, name) <= TYPO_DISTANCE_MAX);
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
