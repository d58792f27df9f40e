import type { UnderWay } from "./emit-queue.ts";

/** The last of what this node emitted to a channel up to some moment, while that is on its way. */
export interface LastEmit {
  /** Its number among this node's emits; 0 where all of them are accepted. */
  readonly number: number;
  /** Where it is in the log; undefined until the broker has said so. */
  offset: number | undefined;
}

/** Of what this node emitted to a channel, what is not for a socket that was not in the room at the time. */
export interface Absence {
  /** What was emitted up to here is for the socket: it was in the room before. Undefined: it was not. */
  readonly after: LastEmit | undefined;
  /** What was emitted up to here, and not before, is not for it. */
  readonly until: LastEmit;
}

/**
 * Sockets that have joined a room while something that this node emitted to it before is on its way. As on one server in
 * memory they are not given that, though they are in the room when it comes; but for what was emitted while they were in the
 * room, where they have left it only for a while.
 */
export class Absences {
  /** By channel, and by the socket's id: in the order of the emits. */
  readonly #absences = new Map<string, Map<string, readonly Absence[]>>();

  /** @returns ends it */
  begin(channel: string, id: string, absence: Absence): () => void {
    const ids = this.#absences.get(channel) ?? new Map<string, readonly Absence[]>();
    this.#absences.set(channel, ids.set(id, [...(ids.get(id) ?? []), absence]));
    return () => {
      const others = ids.get(id)?.filter((one) => one !== absence) ?? [];
      if (others.length > 0) ids.set(id, others);
      else ids.delete(id);
      if (ids.size === 0 && this.#absences.get(channel) === ids) this.#absences.delete(channel);
    };
  }

  /** Whether a socket was away at this emit, the newest, or at the one at this place of the log. */
  wasAway(channel: string, id: string, emitted: UnderWay | undefined, due: number | undefined): boolean {
    const absences = this.#absences.size === 0 ? undefined : this.#absences.get(channel)?.get(id);
    const last = absences?.at(-1);
    if (!last) return false;
    if (emitted) return emitted.number <= last.until.number;
    return due !== undefined && isFor(absences, due) === false;
  }

  /** Who has just joined a channel's room; undefined: nobody. */
  at(channel: string): ReadonlyMap<string, readonly Absence[]> | undefined {
    const absences = this.#absences.size === 0 ? undefined : this.#absences.get(channel);
    return absences && new Map(absences);
  }
}

/** Whether an entry is for a socket that was away; undefined: that is not known yet. */
export function isFor(absences: readonly Absence[] | undefined, offset: number): boolean | undefined {
  let isKnown = true;
  for (const { after, until } of absences ?? []) {
    if (after?.offset !== undefined && offset <= after.offset) continue;
    if (until.offset !== undefined && offset > until.offset) continue;
    if ((after && after.offset === undefined) || until.offset === undefined) isKnown = false;
    else return false;
  }
  return isKnown ? true : undefined;
}
