import type { Retention } from "@holdfast/broker";
import { headOf, type StoredRecord } from "./record.ts";

/** What retention lets anybody see of a log, as of its newest record. */
export interface Visible {
  /** The oldest offset by count. */
  readonly first: number;
  /** Entries of before this time are no longer shown. */
  readonly since: number;
}

export function visibleOf(tail: StoredRecord, retention: Retention, now: number): Visible {
  const { maxEntries, maxAgeMs } = tail.retention ?? retention;
  const head = headOf(tail).offset;
  const byCount = Math.max(tail.first, head - maxEntries + 1);
  const since = now - maxAgeMs;
  return { first: tail.time < since ? head + 1 : byCount, since };
}
