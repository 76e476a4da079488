import type { StoreReader } from '../port.ts';
import type { Committer } from './committer.ts';

/** Takes key packages through the group commit: a claim is a write that has a result. */
export function claimThrough(committer: Pick<Committer, 'submit'>): StoreReader['claimKeyPackages'] {
  return (user, now) =>
    new Promise((resolve, reject) => {
      committer.submit(
        [{ op: 'keyPackages.claim', user, now }],
        (report) => resolve(report?.kind === 'claimed' ? report.packages : []),
        reject,
      );
    });
}
