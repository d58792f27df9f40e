import { isCount, randomText } from "@holdfast/broker/engine";
import type { Connection } from "./connection.ts";
import { isConflict } from "./failures.ts";
import type { Subjects } from "./subjects.ts";
import { storeSuccessor } from "./successor.ts";

/** What is known of an idempotency key. */
export type Claim =
  /** Its entry is in the log, or will be, behind the record at `after` and with this id. */
  | { readonly type: "claimed"; readonly id: string; readonly after: number }
  | {
      readonly type: "done";
      readonly epoch: string;
      readonly offset: number;
      readonly tag: string;
      readonly seq: number;
    };

const ID_CHARACTERS = 12;

/**
 * The idempotency keys, each a subject of a stream that forgets them after their time. Before an entry is written its key
 * is claimed with an id that goes into the log with the entry; so whoever comes with the same key, on any node, writes with
 * the same id, and finds it if it is there already.
 */
export class Keys {
  readonly #connection: Connection;
  readonly #subjects: Subjects;

  constructor(connection: Connection, subjects: Subjects) {
    this.#connection = connection;
    this.#subjects = subjects;
  }

  /**
   * Claims a key, or says what its first claim was.
   *
   * @param after the channel's newest record that the caller knows of
   */
  async claim(channel: string, key: string, after: number, deadline: number): Promise<Claim> {
    const subject = this.#subjects.key(channel, key);
    const own = { type: "claimed", id: randomText(ID_CHARACTERS), after } as const;
    const data = encode({ i: own.id, a: after });
    const name = this.#subjects.keyStreamOf(channel);
    const place = {
      stream: name,
      subject,
      mark: this.#subjects.keyMark(this.#subjects.partitionOf(channel)),
    };
    return this.#connection.call(deadline, async (ready) => {
      try {
        const { duplicate } = await storeSuccessor(ready, place, data, 0);
        if (!duplicate) return own;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
      const there = await ready.manager.streams.getMessage(name, { last_by_subj: subject });
      const claim = there && decode(there.data);
      // Its time was over in between: it is claimed again.
      if (!claim) throw new Error("the idempotency key was just forgotten");
      return claim;
    });
  }

  /** Notes where a key's entry is, so that nobody has to look for it. If this is lost, it is looked for in the log. */
  done(channel: string, key: string, claim: Omit<Extract<Claim, { readonly type: "done" }>, "type">): void {
    const { epoch, offset, tag, seq } = claim;
    const data = encode({ e: epoch, o: offset, t: tag, s: seq });
    this.#connection.ready?.nats.publish(this.#subjects.key(channel, key), data);
  }
}

function encode(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value), "latin1");
}

function decode(data: Uint8Array): Claim | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(data).toString("latin1"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { i, a, e, o, t, s } = value as { readonly [name: string]: unknown };
  if (typeof i === "string" && isCount(a)) return { type: "claimed", id: i, after: a };
  if (typeof e === "string" && typeof t === "string" && isCount(o) && isCount(s))
    return { type: "done", epoch: e, offset: o, tag: t, seq: s };
  return undefined;
}
