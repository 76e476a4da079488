/**
 * Dates of certificates, lists and answers, as they are written. The library reads `20990231000000Z` as
 * 3 March, takes offsets and fractions, and rolls a month 13 over: two readers would see two dates. RFC 5280 section
 * 4.1.2.5 has two forms of whole seconds in UTC; nothing else is read here.
 */

const TAG = { utcTime: 0x17, generalizedTime: 0x18 } as const;
const CONSTRUCTED = 0x20;
const LONG_TAG = 0x1f;
const LONG_LENGTH = 0x80;
const LENGTH_BYTES_MAX = 4;
const DEPTH_MAX = 32;
const FORM = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const CENTURY_FROM = 50;

/** The first date below `der` that is not one, as text; undefined when all are. Throws RangeError for what is not DER. */
export function timeFault(der: Uint8Array): string | undefined {
  return faultWithin(der, 0, der.length, 0);
}

function faultWithin(der: Uint8Array, start: number, end: number, depth: number): string | undefined {
  if (depth > DEPTH_MAX) throw new RangeError('the nesting is too deep');
  for (let at = start; at < end; ) {
    const tag = der[at] ?? 0;
    if ((tag & LONG_TAG) === LONG_TAG) throw new RangeError('a tag of several bytes');
    const { from, to } = contentOf(der, at + 1, end);
    const fault = isTime(tag)
      ? faultOf(Buffer.from(der.subarray(from, to)).toString('latin1'), tag)
      : (tag & CONSTRUCTED) !== 0
        ? faultWithin(der, from, to, depth + 1)
        : undefined;
    if (fault !== undefined) return fault;
    at = to;
  }
  return undefined;
}

const isTime = (tag: number): boolean => tag === TAG.utcTime || tag === TAG.generalizedTime;

function contentOf(der: Uint8Array, at: number, end: number): { readonly from: number; readonly to: number } {
  const first = der[at] ?? 0;
  const count = first < LONG_LENGTH ? 0 : first - LONG_LENGTH;
  if (count > LENGTH_BYTES_MAX || first === LONG_LENGTH) throw new RangeError('a length that is not DER');
  let length = count === 0 ? first : 0;
  for (const byte of der.subarray(at + 1, at + 1 + count)) length = length * 256 + byte;
  const from = at + 1 + count;
  if (from + length > end) throw new RangeError('a length beyond the end');
  return { from, to: from + length };
}

function faultOf(text: string, tag: number): string | undefined {
  const whole = tag === TAG.utcTime ? `${Number(text.slice(0, 2)) < CENTURY_FROM ? '20' : '19'}${text}` : text;
  const parts = FORM.exec(whole);
  if (parts === null) return shown(text);
  const [, year, month, day, hour, minute, second] = parts;
  const said = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const date = new Date(said);
  // `Date` refuses a month 13 and rolls a 31 February over.
  return Number.isNaN(date.getTime()) || date.toISOString() !== said ? shown(text) : undefined;
}

const SHOWN_LENGTH_MAX = 24;
const shown = (text: string): string => `"${text.slice(0, SHOWN_LENGTH_MAX).replace(/[^ -~]/g, '?')}"`;
