import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import type { TestContext } from 'node:test';

/** A name server for one test, on UDP and loopback; imported by tests only. */

export interface Zone {
  readonly srv?: Readonly<Record<string, readonly { priority: number; weight: number; port: number; name: string }[]>>;
  readonly txt?: Readonly<Record<string, readonly (readonly string[])[]>>;
  readonly address?: Readonly<Record<string, readonly string[]>>;
  /** Names that are answered with SERVFAIL. */
  readonly broken?: readonly string[];
  /** Names that are never answered. */
  readonly silent?: readonly string[];
}

const TYPE = { a: 1, txt: 16, aaaa: 28, srv: 33 } as const;
const RCODE = { ok: 0, serverFailure: 2, noSuchName: 3 } as const;

/** Starts the server; resolves to `address:port` for `setServers`. */
export async function startDns(t: TestContext, zone: Zone): Promise<string> {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const question = readQuestion(query);
    if (zone.silent?.includes(question.name) === true) return;
    socket.send(answer(query, question, zone), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

interface Question {
  readonly name: string;
  readonly type: number;
  readonly end: number;
}

function readQuestion(query: Buffer): Question {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function answer(query: Buffer, question: Question, zone: Zone): Buffer {
  const records = recordsFor(question, zone);
  const known = [zone.srv, zone.txt, zone.address].some((part) => part !== undefined && question.name in part);
  const rcode =
    zone.broken?.includes(question.name) === true ? RCODE.serverFailure : known ? RCODE.ok : RCODE.noSuchName;
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8580 | rcode, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(rcode === RCODE.ok ? records.length : 0, 6);
  const body = rcode === RCODE.ok ? records.map((data) => record(question.type, data)) : [];
  return Buffer.concat([header, query.subarray(12, question.end), ...body]);
}

function recordsFor({ name, type }: Question, zone: Zone): Buffer[] {
  if (type === TYPE.srv) return (zone.srv?.[name] ?? []).map(srvData);
  if (type === TYPE.txt) return (zone.txt?.[name] ?? []).map((parts) => Buffer.concat(parts.map(characterString)));
  const addresses = zone.address?.[name] ?? [];
  if (type === TYPE.a) return addresses.filter(isIPv4).map((text) => Buffer.from(text.split('.').map(Number)));
  return type === TYPE.aaaa ? addresses.filter((text) => !isIPv4(text)).map(ipv6Data) : [];
}

function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0); // the question's name
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function srvData(record: { priority: number; weight: number; port: number; name: string }): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt16BE(record.priority, 0);
  head.writeUInt16BE(record.weight, 2);
  head.writeUInt16BE(record.port, 4);
  const labels = record.name.split('.').filter((label) => label !== '');
  return Buffer.concat([head, ...labels.map(characterString), Buffer.alloc(1)]);
}

function characterString(text: string): Buffer {
  return Buffer.concat([Uint8Array.of(text.length), Buffer.from(text, 'latin1')]);
}

/** `::n` only: enough for tests. */
function ipv6Data(text: string): Buffer {
  const data = Buffer.alloc(16);
  data.writeUInt16BE(Number.parseInt(text.slice(2), 16), 14);
  return data;
}
