import type { ApprovalAction } from '@norc/protocol/norc-t';

const ACTIONS: Readonly<Record<ApprovalAction, (peer: string) => string>> = {
  trust_request: (peer) => `Ask ${peer} for trust`,
  trust_grant: (peer) => `Put trust with ${peer} in force`,
  trust_decline: (peer) => `Decline the request of ${peer}`,
  trust_revoke: (peer) => `End trust with ${peer}`,
  trust_restore: (peer) => `Restore trust with ${peer}`,
  policy_apply: () => 'Put another trust policy in force',
  root_rotate: () => "Replace the organisation's root key",
};

/** What would happen, in words. */
export function actionWords(action: ApprovalAction, peer?: string): string {
  return ACTIONS[action](peer ?? 'the other organisation');
}

/** The document that is approved, as lines to read, all of them: JSON laid out, text as it is; undefined when it is neither. */
export function documentLines(document: Uint8Array): readonly string[] | undefined {
  const text = decodeText(document);
  if (text === undefined) return undefined;
  return (laidOut(text) ?? text).split('\n');
}

function decodeText(document: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(document);
  } catch {
    return undefined;
  }
}

function laidOut(text: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return undefined;
  }
}
