const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface StopRequest {
  /** Resolves at the first reason to stop; later ones change nothing, since a launcher may pass a signal on twice. */
  readonly promise: Promise<void>;
  readonly stop: () => void;
  /** Gives the signals back. */
  close(): void;
}

/** Somebody wants this process to end: a signal, a call of `stop`, or the end of standard input. */
export function stopRequest({ untilInputEnds }: { readonly untilInputEnds: boolean }): StopRequest {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  for (const signal of SIGNALS) process.on(signal, stop);
  if (untilInputEnds) process.stdin.resume().once('end', stop).once('error', stop);
  return {
    promise,
    stop,
    close() {
      for (const signal of SIGNALS) process.off(signal, stop);
      if (untilInputEnds) process.stdin.off('end', stop).off('error', stop).pause();
    },
  };
}
