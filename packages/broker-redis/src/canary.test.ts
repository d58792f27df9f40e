import { afterEach, expect, it, vi } from "vitest";
import { Canary } from "./canary.ts";

const TIMES = { heartbeatMs: 20, deadAfterMs: 200 };
let canary: Canary;
afterEach(() => canary.close());

it("says so when what was published does not come back", async () => {
  const dead = vi.fn();
  canary = new Canary({ send: async () => undefined, dead }, TIMES);
  canary.begin();
  await vi.waitFor(() => expect(dead).toHaveBeenCalledOnce(), 10_000);
});

it("blames nobody for what came while this process itself stood still", async () => {
  const dead = vi.fn();
  let sent = 0;
  const send = async () => {
    if (++sent !== 1) return;
    setImmediate(() => {
      for (const until = performance.now() + 3 * TIMES.deadAfterMs; performance.now() < until; );
      // What came meanwhile is read after the timers that are due.
      setImmediate(() => canary.heard());
    });
  };
  canary = new Canary({ send, dead }, TIMES);
  canary.begin();
  await vi.waitFor(() => expect(sent).toBeGreaterThan(2), 10_000);
  expect(dead).not.toHaveBeenCalled();
});
