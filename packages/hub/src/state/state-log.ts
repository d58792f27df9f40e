import type { Broker, Entry, Position } from "@holdfast/broker";
import { decodeStateEntry, type StateEntry } from "./state-entry.ts";
import { StatePairs } from "./state-pairs.ts";

/** A state as its log has it at one moment. */
export interface ReadState {
  readonly pairs: StatePairs;
  /** The log's head: what follows comes after it. */
  readonly head: Position;
  /** Entries since the newest snapshot, or since the beginning. */
  readonly sinceSnapshot: number;
  /** False: the log no longer reached back to a whole snapshot, so what was set before its oldest entry is missing. */
  readonly complete: boolean;
}

/**
 * Reads a state: backwards from the log's head to the newest snapshot, on to the offset that it is of, and then what those
 * entries say, in their order. Rejects as `Broker.history` does.
 */
export async function readState(broker: Broker, channel: string): Promise<ReadState> {
  const newestFirst: Entry[] = [];
  let head: Position | undefined;
  let before: Position | undefined;
  let snapshot: (StateEntry & { type: "snapshot" }) | undefined;
  let snapshotAt = 0;
  let reached = Number.POSITIVE_INFINITY;
  for (;;) {
    const page = await broker.history(channel, { backwards: true, ...(before ? { before } : {}) });
    // The log was rolled back or begun anew while it was read: begin anew too.
    if (page.type === "unrecoverable" || (head && page.head.epoch !== head.epoch))
      return readState(broker, channel);
    head ??= page.head;
    for (const entry of page.entries) {
      newestFirst.push(entry);
      reached = entry.offset;
      const read = snapshot ? undefined : decodeStateEntry(entry);
      if (read?.type === "snapshot") [snapshot, snapshotAt] = [read, entry.offset];
    }
    const oldest = page.entries.at(-1);
    const isWhole = snapshot ? reached <= snapshot.offset + 1 : reached === 1 || head.offset === 0;
    if (isWhole || !oldest) {
      const pairs = new StatePairs(snapshot?.pairs);
      for (const entry of newestFirst.reverse()) {
        if (entry.offset <= (snapshot?.offset ?? 0)) continue;
        pairs.apply(decodeStateEntry(entry));
      }
      const complete = isWhole && snapshot?.complete !== false;
      return { pairs, head, sinceSnapshot: head.offset - snapshotAt, complete };
    }
    before = { epoch: head.epoch, offset: oldest.offset, tag: oldest.tag };
  }
}
