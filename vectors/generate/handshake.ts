import { type VectorFile, writeWhenRun } from './files.ts';
import { badHelloVectors } from './handshake/bad-hellos.ts';
import { frameVectors } from './handshake/frames.ts';
import { helloVectors } from './handshake/hellos.ts';
import { keyVectors } from './handshake/keys.ts';
import { legacyVectors } from './handshake/legacy.ts';
import { negotiationVectors } from './handshake/negotiation.ts';
import { rekeyVectors } from './handshake/rekeys.ts';

export const handshakeVectors: readonly VectorFile[] = [
  ...negotiationVectors,
  ...keyVectors,
  ...helloVectors,
  ...badHelloVectors,
  ...frameVectors,
  ...rekeyVectors,
  ...legacyVectors,
];

writeWhenRun(import.meta, 'handshake', handshakeVectors);
