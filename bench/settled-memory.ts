import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Measured } from "./subject-process.ts";

/** Memory counts as settled when it changes by less than this from one reading to the next. */
const SETTLED_BYTES = 128 * 1024;
const SETTLE_POLL_MS = 400;
const SETTLE_POLLS = 12;

/** @returns bytes that the process holds once that hardly changes any more */
export async function settledMemory(process: Measured): Promise<number> {
  let last = await process.memory();
  for (let polls = 0; polls < SETTLE_POLLS; polls++) {
    await sleep(SETTLE_POLL_MS);
    const now = await process.memory();
    if (Math.abs(now - last) < SETTLED_BYTES) return now;
    last = now;
  }
  return last;
}

/**
 * A process that runs out of files accepts nothing more, which would look like one that hangs.
 *
 * @throws Error when one process may not have so many files open
 */
export function requireFiles(count: number): void {
  const limit = maxOpenFiles();
  if (limit >= count) return;
  throw new Error(
    `so many WebSockets take ${count} open files in one process, and ${limit} are allowed (ulimit -n): choose a smaller --idle`,
  );
}

function maxOpenFiles(): number {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
