import { describe, expect, it } from "vitest";
import type { Ready } from "./connection.ts";
import { storeSuccessor } from "./successor.ts";

const PLACE = { stream: "log", subject: "log.room", mark: "log.mark" };
const BYTES = new Uint8Array([1]);

/** A stream's leader as far as a write needs one. `staged`: ids that it takes for taken. */
class Leader {
  readonly staged = new Map<string, number>();
  readonly stored: { readonly subject: string; readonly seq: number }[] = [];
  seq: number;
  marks = 0;

  constructor(seq: number) {
    this.seq = seq;
  }

  /** @param onMark what happens when a mark is stored */
  ready(onMark: () => void = () => {}): Ready {
    const publish = async (subject: string, _bytes: Uint8Array, options?: { readonly msgID: string }) => {
      if (subject === PLACE.mark) {
        this.marks++;
        onMark();
        return { seq: ++this.seq, duplicate: false };
      }
      const id = options?.msgID ?? "";
      this.first ??= id;
      const staged = this.staged.get(id);
      if (staged !== undefined) return { seq: staged, duplicate: true };
      this.store(subject, id);
      return { seq: this.seq, duplicate: false };
    };
    const getMessage = async () => this.stored.at(-1) ?? null;
    const info = async () => ({ state: { last_seq: this.seq } });
    return { stream: { publish }, manager: { streams: { getMessage, info } } } as unknown as Ready;
  }

  /** The id that was asked for first. */
  first: string | undefined;

  store(subject: string, id: string): void {
    this.stored.push({ subject, seq: ++this.seq });
    this.staged.set(id, this.seq);
  }
}

/** The id of what comes after the message at 4. */
async function idOfNext(): Promise<string> {
  const leader = new Leader(4);
  await storeSuccessor(leader.ready(), PLACE, BYTES, 4);
  return leader.first ?? "";
}

describe("a message id that is taken", () => {
  it("by a message that was deleted makes room for another, the same for all", async () => {
    const leader = new Leader(9);
    leader.staged.set(await idOfNext(), 6);
    const [one, two] = [leader.ready(), leader.ready()];
    expect(await storeSuccessor(one, PLACE, BYTES, 4)).toEqual({ seq: 10, duplicate: false });
    expect(await storeSuccessor(two, PLACE, BYTES, 4)).toEqual({ seq: 6, duplicate: true });
    expect(leader.stored).toHaveLength(1);
  });

  it("by one that this leader hasn't got to yet is left to it", async () => {
    const leader = new Leader(5);
    leader.staged.set(await idOfNext(), 6);
    expect(await storeSuccessor(leader.ready(), PLACE, BYTES, 4)).toEqual({ seq: 6, duplicate: true });
    expect(leader.stored).toEqual([]);
  });

  it("by one on its way is waited for", async () => {
    const leader = new Leader(4);
    const id = await idOfNext();
    leader.staged.set(id, 0);
    const ready = leader.ready(() => leader.store(PLACE.subject, id));
    expect(await storeSuccessor(ready, PLACE, BYTES, 4)).toMatchObject({ duplicate: true });
    expect(leader.stored).toHaveLength(1);
    expect(leader.marks).toBe(1);
  });

  it("by one that a deposed leader had in hand, and that never comes, makes room for another, the same for all", async () => {
    const leader = new Leader(4);
    leader.staged.set(await idOfNext(), 0);
    const both = await Promise.all([1, 2].map(() => storeSuccessor(leader.ready(), PLACE, BYTES, 4)));
    expect(both.map(({ duplicate }) => duplicate).sort()).toEqual([false, true]);
    expect(leader.stored).toHaveLength(1);
    expect(leader.marks).toBeGreaterThanOrEqual(3);
  });
});
