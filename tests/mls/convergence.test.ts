import { test } from 'node:test';
import { Simulation } from './simulation.ts';

const SEEDS = 30;
const STEPS = 60;

for (let seed = 0; seed < SEEDS; seed += 1) {
  test(`seed ${seed}: ${STEPS} random operations leave all members and the server's view agreed [MLS-30]`, async () => {
    await new Simulation(`seed ${seed}`).run(STEPS);
  });
}
