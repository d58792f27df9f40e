import type { JetStreamManager } from "@nats-io/jetstream";
import type { Ready } from "./connection.ts";
import { successorId } from "./subjects.ts";

/** What was stored, or which message is there in its stead. */
export interface Stored {
  readonly seq: number;
  readonly duplicate: boolean;
}

/**
 * Stores what comes next after the message at `expected` of a subject, if that is the newest of it. Tries once.
 *
 * The server knows a message id for some time, also when its message was deleted: with a purged stream, or one that was made
 * again while the old one was on its way out. Then another id is taken, the same one by all who come this way.
 *
 * @throws what NATS says; `isConflict` tells when another was newer
 */
export async function storeSuccessor(
  { stream, manager }: Ready,
  name: string,
  subject: string,
  bytes: Uint8Array,
  expected: number,
): Promise<Stored> {
  for (let gone = 0; ; ) {
    const { seq, duplicate } = await stream.publish(subject, bytes, {
      expect: { lastSubjectSequence: expected },
      msgID: successorId(subject, expected, gone),
    });
    // A message that is still on its way to the other servers has no place yet, which is 0.
    if (!duplicate || seq <= gone || !(await isGone(manager, name, subject, seq, expected)))
      return { seq, duplicate };
    gone = seq;
  }
}

/**
 * Whether the message at `seq` of a stream is there no more, nor any of its subject since `expected`.
 *
 * A server that has just become the stream's leader answers before it has done all that was agreed on (nats-server up to 2.10), and
 * one that is cut off leads on for a while: what such a one doesn't show may be there. To store another message in its
 * place would give that place out twice. So it has to have come as far itself.
 */
async function isGone(
  manager: JetStreamManager,
  name: string,
  subject: string,
  seq: number,
  expected: number,
): Promise<boolean> {
  const isTaken = async () => {
    const newest = await manager.streams.getMessage(name, { last_by_subj: subject });
    return newest !== null && newest.seq > expected;
  };
  if (await isTaken()) return false;
  const { state } = await manager.streams.info(name);
  return state.last_seq >= seq && !(await isTaken());
}
