import type { Entry } from "@holdfast/broker";
import type { Session } from "./session.ts";
import type { Mark } from "./session-record.ts";

interface Newest extends Mark {
  readonly at: number;
}

/** A room that was silent for this long has its newest entry noted in the records, before its log forgets it. */
const SILENT_MS = 30_000;

/** The newest entry of each room's channel that was handed out on this node, and when. */
export class SilentRooms {
  readonly #newest = new Map<string, Newest>();

  arrived(channel: string, { offset, tag, seq }: Entry): void {
    this.#newest.set(channel, { offset, tag, seq, at: performance.now() });
  }

  /** A channel is no longer followed, or its log is another one. */
  forget(channel: string): void {
    this.#newest.delete(channel);
  }

  /** The newest entries of those that have been silent for long. */
  find(): ReadonlyMap<string, Mark> {
    const before = performance.now() - SILENT_MS;
    return new Map([...this.#newest].filter(([, { at }]) => at < before));
  }
}

/** Notes in a session the newest entries of its rooms among these channels. @returns whether there was any that it had not */
export function noteSilent(
  session: Session,
  silent: ReadonlyMap<string, Mark>,
  channelOf: (room: Parameters<Session["saw"]>[0]) => string,
): boolean {
  let isChanged = false;
  for (const [name, room] of session.rooms) {
    const newest = silent.get(channelOf(name));
    if (!newest || newest.offset <= Math.max(room.join.offset, room.seen?.offset ?? 0)) continue;
    const { offset, tag, seq } = newest;
    session.saw(name, { offset, tag, seq });
    isChanged = true;
  }
  return isChanged;
}
