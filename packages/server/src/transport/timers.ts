/** The only source of delays for transports: injected, so that no test waits for a clock. */
export interface Timers {
  /** Runs `run` once after `delayMs`; the returned function cancels it and may be called at any time. */
  after(delayMs: number, run: () => void): () => void;
}

/** Node's timers. They never keep a process alive: open sockets do that. */
export const systemTimers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Runs `run` every `intervalMs` until the returned function is called. */
export function every(timers: Timers, intervalMs: number, run: () => void): () => void {
  let stopped = false;
  const tick = () => {
    run();
    if (!stopped) cancel = timers.after(intervalMs, tick);
  };
  let cancel = timers.after(intervalMs, tick);
  return () => {
    stopped = true;
    cancel();
  };
}
