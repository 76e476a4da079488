import { join } from 'node:path';

/** An operator's mistake about an organisation's files: says which file, and what to do. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
}

/** Where one organisation keeps what is its own. */
export function organisationPaths(folder: string) {
  const keys = join(folder, 'keys');
  return {
    keys,
    rootKey: join(keys, 'root.key'),
    rootPublic: join(keys, 'root.pub.json'),
    serverKey: join(keys, 'server.key'),
    serverCertificate: join(keys, 'server.cert.json'),
    rootPqKey: join(keys, 'root-pq.key'),
    serverPqKey: join(keys, 'server-pq.key'),
    serverPqCertificate: join(keys, 'server-pq.cert.json'),
    /** Root keys that came one after the other: `root_rotation` documents, one on each line. */
    rotations: join(keys, 'rotations.jsonl'),
    /** Keys that are to replace the root keys, and the rotation that officers are signing. */
    nextRootKey: join(keys, 'root-next.key'),
    nextRootPqKey: join(keys, 'root-pq-next.key'),
    pendingRotation: join(keys, 'root-rotation.json'),
    recoverySet: join(keys, 'recovery-set.json'),
    /** What this organisation shows to others as evidence about itself. */
    evidence: join(folder, 'evidence'),
    database: join(folder, 'norc.db'),
    adminSocket: join(folder, 'admin.sock'),
  } as const;
}
