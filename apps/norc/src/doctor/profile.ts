import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Finding, ok, warn } from './finding.ts';

const OTHERS = 0o077;

/** The device that is kept on this machine, if there is one. Its contents stay closed. */
export async function checkProfile(folder: string): Promise<readonly Finding[]> {
  if (!existsSync(folder)) return [ok('Device', `none in ${folder}`)];
  const { mode } = await stat(folder);
  if (process.platform === 'win32' || (mode & OTHERS) === 0) return [ok('Device', folder)];
  return [warn('Device', `${folder} can be entered by other accounts`, `chmod 700 ${folder}`)];
}
