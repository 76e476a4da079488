import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files below `folder` that hold these words: as they are, in UTF-16, hexadecimal or base64 in any alignment. */
export function filesWith(folder: string, words: string): readonly string[] {
  const forms = formsOf(words);
  return filesBelow(folder).filter((file) => {
    const content = readFileSync(file);
    return forms.some((form) => content.includes(form));
  });
}

export function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function formsOf(words: string): readonly Buffer[] {
  const bytes = Buffer.from(words);
  // The first and last letters of base64 depend on what stands beside the words.
  const aligned = [0, 1, 2].map((skip) => bytes.subarray(skip).toString('base64').slice(0, -4));
  const urls = aligned.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const texts = [bytes.toString('hex'), bytes.toString('hex').toUpperCase(), ...aligned, ...urls];
  return [bytes, Buffer.from(words, 'utf16le'), ...texts.map((text) => Buffer.from(text))];
}
