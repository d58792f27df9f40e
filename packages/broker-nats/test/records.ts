import type { Retention } from "@holdfast/broker";
import { MILESTONES, type StoredRecord } from "../src/record.ts";

export const KEPT: Retention = { maxEntries: 10_000, maxAgeMs: 3_600_000 };

/** A record of one entry, in a log of such: its place in the stream is its offset. */
export function record(rest: Partial<StoredRecord> & { readonly offset: number }): StoredRecord {
  const { offset } = rest;
  const milestones = MILESTONES.map((every) => {
    const at = Math.max(1, Math.floor((offset - 1) / every) * every);
    return { offset: at, seq: at, bytes: at };
  });
  return {
    id: `record-${offset}`,
    epoch: "epoch",
    before: "",
    previous: offset - 1,
    time: 0,
    first: 1,
    retention: undefined,
    bytes: offset,
    milestones,
    claims: [],
    entries: [{ salt: "AAAA", data: new Uint8Array(1) }],
    seq: offset,
    ...rest,
  };
}
