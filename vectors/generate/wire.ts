import { type VectorFile, writeWhenRun } from './files.ts';
import { bodyVectors } from './wire/bodies.ts';
import { encodingVectors } from './wire/encodings.ts';
import { frameVectors } from './wire/frames.ts';

export const wireVectors: readonly VectorFile[] = [...encodingVectors, ...frameVectors, ...bodyVectors];

writeWhenRun(import.meta, 'wire', wireVectors);
