// Static checks: node tools/checks.mjs types|lint|format|generate
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const CHECKS = {
  types: [[bin('tsc'), '-b']],
  lint: [
    [process.execPath, 'tools/generate-registry.mjs', '--check'],
    [bin('biome'), 'ci', '.'],
  ],
  format: [[bin('biome'), 'check', '--write', '.']],
  generate: [
    [process.execPath, 'tools/generate-registry.mjs'],
    [process.execPath, 'tests/spec/registry-tables.ts'],
  ],
};

export function runCheck(name, stdio = 'inherit') {
  return CHECKS[name]
    .map(([command, ...args]) => spawnSync(command, args, { cwd: root, stdio }))
    .find((result) => result.status !== 0);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const failed = runCheck(process.argv[2]);
  process.exit(failed === undefined ? 0 : (failed.status ?? 1));
}
