import type { Writable } from "node:stream";
import { expect, vi } from "vitest";

const CHUNK = Buffer.alloc(64 * 1024, "x");

export interface Pump {
  /** Bytes that the writer got rid of so far. */
  accepted(): number;
  /** Resolves once the writer is held back: it has written something, and then no more. */
  stalled(): Promise<void>;
}

/** Writes that many bytes as fast as they are taken, each chunk after the one before was, and ends. */
export function pump(to: Writable, total: number, chunk = CHUNK): Pump {
  let accepted = 0;
  const next = (error?: Error | null) => {
    if (error) return;
    if (accepted >= total) to.end();
    else
      to.write(chunk, (failed) => {
        if (!failed) accepted += chunk.length;
        next(failed);
      });
  };
  next();
  return {
    accepted: () => accepted,
    stalled: async () => {
      let before = -1;
      await vi.waitFor(
        () => {
          const still = accepted > 0 && accepted === before;
          before = accepted;
          expect(still).toBe(true);
        },
        { interval: 250, timeout: 8000 },
      );
    },
  };
}
