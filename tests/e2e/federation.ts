import { mkdir, writeFile } from 'node:fs/promises';
import { freePort, type Outcome, type Running, type Sandbox } from './sandbox.ts';

/** Organisations whose servers run in processes of their own, and find each other by static entries: there is no DNS here. */

/** One of them, with a folder of its own, in which its people type their commands. */
export class Place {
  readonly domain: string;
  readonly folder: string;
  readonly #sandbox: Sandbox;

  constructor(sandbox: Sandbox, domain: string) {
    this.#sandbox = sandbox;
    this.domain = domain;
    this.folder = sandbox.path(domain);
  }

  path(name: string): string {
    return this.#sandbox.path(this.domain, name);
  }

  start(args: readonly string[]): Running {
    return this.#sandbox.start(args, this.folder);
  }

  async norc(...args: readonly string[]): Promise<Outcome> {
    const running = this.start(args);
    running.end();
    const code = await running.ended;
    return { code, out: running.out, err: running.err };
  }

  /** As `norc`, for a command that must succeed: gives all that it said. */
  async must(...args: readonly string[]): Promise<string> {
    const { code, out, err } = await this.norc(...args);
    if (code !== 0) throw new Error(`${this.domain}: norc ${args.join(' ')}: exit ${code}\n${out}\n${err}`);
    return out + err;
  }
}

interface Prepared {
  readonly place: Place;
  readonly port: number;
  readonly record: string;
}

/** Makes their keys and configurations. `settings`: what else stands in each `norc.toml`. */
export async function federation(
  sandbox: Sandbox,
  domains: readonly string[],
  settings = '',
): Promise<readonly Place[]> {
  const all = await Promise.all(domains.map((domain) => prepare(new Place(sandbox, domain))));
  for (const one of all) {
    const peers = all.filter((other) => other !== one).map(peerText);
    const text = `[organisation]\ndomains = ["${one.place.domain}"]\n[listen]\nport = 0\n[federation]\nport = ${one.port}\n`;
    await writeFile(one.place.path('norc.toml'), [text, ...peers, settings].join('\n'));
  }
  return all.map(({ place }) => place);
}

async function prepare(place: Place): Promise<Prepared> {
  await mkdir(place.folder);
  const made = await place.must('org', 'init', place.domain, '--data', 'norc-data', '--json');
  const { dns_record: record } = JSON.parse(made) as { dns_record: string }; // our own command's
  return { place, port: await freePort(), record: /"(.*)"/.exec(record)?.[1] ?? '' };
}

function peerText({ place, port, record }: Prepared): string {
  return `[[federation.peer]]\ndomain = "${place.domain}"\nendpoints = ["127.0.0.1:${port}"]\ntrust_txt = ["${record}"]\n`;
}

export async function startAll(places: readonly Place[]): Promise<void> {
  await Promise.all(places.map((place) => place.start(['server']).line(/^ {2}Stop /)));
}
