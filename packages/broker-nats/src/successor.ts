import { setTimeout as pause } from "node:timers/promises";
import type { Ready } from "./connection.ts";
import { successorId } from "./subjects.ts";

/** What was stored, or which message is there in its stead. */
export interface Stored {
  readonly seq: number;
  readonly duplicate: boolean;
}

/** Where a message goes. */
export interface Place {
  readonly stream: string;
  readonly subject: string;
  /** A subject of the same stream that nobody reads: when a message there is stored, whatever was agreed on before it is, too. */
  readonly mark: string;
}

const NOTHING = new Uint8Array();
/** How long a message that is on its way may take before it is asked for in earnest: most take less than the first. */
const PAUSES_MS = [10, 30, 100];
/** So many marks are stored before a message counts as one that never will be. */
const MARKS = 3;

/**
 * Stores what comes next after the message at `expected` of a subject, if that is the newest of it. Tries once.
 *
 * Whoever comes next uses the same message id, so that one alone is stored. But the server says of an id that it is taken also when there
 * is no such message: for some time after it was deleted (with a purged stream, or one that was made again while the old one was on its
 * way out); and when a leader had taken it in hand and was deposed before the others agreed (nats-server before 2.11). Then
 * another id is taken, the same one by all who come this way.
 *
 * @throws what NATS says; `isConflict` tells when another was newer
 */
export async function storeSuccessor(
  { stream, manager }: Ready,
  place: Place,
  bytes: Uint8Array,
  expected: number,
): Promise<Stored> {
  const { subject, mark } = place;
  const isTaken = async () => {
    const newest = await manager.streams.getMessage(place.stream, { last_by_subj: subject });
    return newest !== null && newest.seq > expected;
  };
  let variant = "";
  for (let gone = 0, tries = 0; ; tries++) {
    const { seq, duplicate } = await stream.publish(subject, bytes, {
      expect: { lastSubjectSequence: expected },
      msgID: successorId(subject, expected, variant),
    });
    if (!duplicate || (await isTaken())) return { seq, duplicate };
    if (seq > 0) {
      // A leader that is new, or cut off, may not show what another has told of: it has to have come as far itself.
      const { state } = await manager.streams.info(place.stream);
      if (seq <= gone || state.last_seq < seq || (await isTaken())) return { seq, duplicate };
      gone = seq;
      variant = `${seq}`;
      tries = -1;
    } else if (tries < PAUSES_MS.length) await pause(PAUSES_MS[tries], undefined, { ref: false });
    // It has no place, and so is on its way to the other servers: ahead of a mark, if the leader has it.
    else if (tries < PAUSES_MS.length + MARKS) await stream.publish(mark, NOTHING);
    else {
      variant += "!";
      tries = -1;
    }
  }
}
