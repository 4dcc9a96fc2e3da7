// A fake clock that stands still until a test advances it.

/**
 * Replaces the timers and Date.now until the test ends.
 * @param {import("node:test").TestContext} t
 */
export function fakeClock(t) {
  const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, now: Date.now };
  let now = 1_800_000_000_000;
  let last = 0;
  const timers = new Map();
  globalThis.setTimeout = (work, delay = 0) => {
    const overflows = delay > 2 ** 31 - 1; // and fires at once, as in a browser
    timers.set(++last, { at: now + (overflows ? 1 : Math.max(0, delay)), work });
    return last;
  };
  globalThis.clearTimeout = (id) => timers.delete(id);
  Date.now = () => now;
  t.after(() => {
    Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
    Date.now = real.now;
  });
  const settle = async () => {
    for (let i = 0; i < 50; i++) await new Promise((done) => setImmediate(done));
  };
  return {
    settle,
    /** The number of pending timers. */
    get waiting() {
      return timers.size;
    },
    /** Advances the time, and runs the timers that are due, in order. */
    async go(ms) {
      await settle();
      const end = now + ms;
      for (;;) {
        const [id, next] = [...timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [0, { at: Infinity }];
        if (next.at > end) break;
        timers.delete(id);
        now = Math.max(now, next.at);
        next.work();
        await settle();
      }
      now = end;
    },
    /** Advances the time without running timers, as when a computer sleeps. */
    sleep(ms) {
      now += ms;
    },
  };
}
