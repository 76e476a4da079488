import { test } from 'node:test';

/** Tells the next thing that happens, and gives what it gave. The story ends where a step does not come true. */
export type Step = <T>(sentence: string, happens: () => T | Promise<T>) => Promise<T>;

/** A test that reads as a story: its steps are sentences, told in the test's output as they come true. */
export function story(title: string, tell: (step: Step) => Promise<void>): void {
  test(title, async (t) => {
    await tell(async (sentence, happens) => {
      const outcome = run(happens);
      await t.test(sentence, async () => void given(await outcome));
      return given(await outcome);
    });
  });
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

async function run<T>(happens: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await happens() };
  } catch (error) {
    return { error };
  }
}

function given<T>(outcome: Outcome<T>): T {
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}
