// Loaded before every test file. Property tests draw the same cases on every run, so that a change is judged by what it
// changed; NORC_TEST_SEED=N (or `random`) draws others, as a nightly run should. A failure prints its seed and path.
import fc from 'fast-check';

const FIXED_SEED = 2026;

const wanted = process.env.NORC_TEST_SEED;
if (wanted !== 'random') {
  const seed = wanted === undefined ? FIXED_SEED : Number(wanted);
  if (!Number.isSafeInteger(seed)) throw new Error(`NORC_TEST_SEED is "${wanted}": give a whole number, or "random".`);
  fc.configureGlobal({ seed });
}
