/** What one check found, in words for a person. */
export interface Finding {
  readonly state: 'ok' | 'warn' | 'fail';
  readonly what: string;
  readonly detail: string;
  /** What to do about it; absent when it is ok. */
  readonly next?: string;
}

export const ok = (what: string, detail: string): Finding => ({ state: 'ok', what, detail });
export const warn = (what: string, detail: string, next: string): Finding => ({ state: 'warn', what, detail, next });
export const fail = (what: string, detail: string, next: string): Finding => ({ state: 'fail', what, detail, next });

/** `EACCES` and the like; something for a person where there is none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown fault';
}
