// Quiet reporter: failures in full, the slowest files, and node's closing lines.
// In strict mode a skipped test fails the run: what CI needs must be there.
import { relative } from 'node:path';

const SLOW_FILES_SHOWN = 5;

/** What the run has shown so far. */
class Tally {
  seconds = new Map();
  skipped = [];
  summary;

  take({ type, data }) {
    if (type === 'test:pass' && data.skip !== undefined)
      this.skipped.push(`${data.name}: ${data.skip === true ? '' : data.skip}`);
    if (type !== 'test:summary') return;
    if (data.file === undefined) this.summary = data;
    else this.seconds.set(data.file, data.duration_ms / 1000);
  }
}

export default async function* report(source) {
  const tally = new Tally();
  for await (const event of source) {
    tally.take(event);
    const { type, data } = event;
    if (type === 'test:fail' && data.details?.error?.failureType !== 'subtestsFailed') yield failure(data);
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
  }
  const slow = [...tally.seconds].sort((a, b) => b[1] - a[1]).slice(0, SLOW_FILES_SHOWN);
  yield `slowest: ${slow.map(([file, time]) => `${relative(process.cwd(), file)} ${time.toFixed(1)} s`).join(', ')}\n`;
  for (const name of tally.skipped) yield `skipped: ${name}\n`;
  if (process.env.NORC_STRICT === '1' && tally.skipped.length > 0) {
    process.exitCode = 1;
    yield 'Strict mode: a skipped test is a failure.\n';
  }
  if (tally.summary !== undefined) yield closingLines(tally.summary);
}

function failure(data) {
  const error = data.details?.error;
  const cause = error?.cause ?? error;
  return `\n✖ ${data.name}  (${data.file === undefined ? '' : relative(process.cwd(), data.file)}:${data.line ?? ''})\n${cause?.stack ?? cause}\n`;
}

function closingLines({ counts, duration_ms }) {
  const lines = [
    ['tests', counts.tests],
    ['suites', counts.suites],
    ['pass', counts.passed],
    ['fail', counts.failed ?? counts.tests - counts.passed - counts.skipped - counts.cancelled - counts.todo],
    ['cancelled', counts.cancelled],
    ['skipped', counts.skipped],
    ['todo', counts.todo],
    ['duration_ms', duration_ms],
  ];
  return lines.map(([name, value]) => `ℹ ${name} ${value}\n`).join('');
}
