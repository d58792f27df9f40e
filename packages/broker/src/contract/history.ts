import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Broker, Entry, Position } from "../port.ts";
import { contents, KEPT, pageOf, text, WAIT, type World } from "./world.ts";

/** What `history` and retention promise. */
export function historyContract(world: World): void {
  const { limits, abilities } = world;
  let a: Broker;
  let b: Broker;
  let channel: string;

  beforeEach(() => {
    ({ a, b, channel } = world);
  });

  describe("history", () => {
    test("says the seq of the newest entry, or that there was none yet", async () => {
      expect(await b.history(channel, {})).toMatchObject({ head: { offset: 0 }, seq: 0 });
      await a.publish(`${channel}.other`, text("1"));
      const { seq } = await a.publish(channel, text("1"));
      await a.publish(`${channel}.other`, text("2"));
      for (const limit of [0, 1]) expect((await b.history(channel, { limit })).seq).toBe(seq);
      const refused = await b.history(channel, { since: { epoch: "another", offset: 1, tag: "x" } });
      expect(refused).toMatchObject({ type: "unrecoverable", seq });
    });

    test("reads from the oldest entry, or from a position on, at most as many as asked for", async () => {
      const at: Position[] = [];
      for (let n = 1; n <= 5; n++) at.push((await a.publish(channel, text(`${n}`))).position);
      const head = at[4];
      const [all, two] = [await pageOf(b, channel), await pageOf(b, channel, undefined, 2)];
      expect(contents(all.entries)).toEqual(["1", "2", "3", "4", "5"]);
      expect(contents(two.entries)).toEqual(["1", "2"]);
      expect(contents((await pageOf(b, channel, at[1], 2)).entries)).toEqual(["3", "4"]);
      expect(await pageOf(b, channel, at[4])).toMatchObject({ type: "page", entries: [], head });
      expect(await pageOf(b, channel, at[0], 0)).toMatchObject({ type: "page", entries: [], head });
      expect([all.head, two.head]).toEqual([head, head]);
    });

    test("reads from before the first entry", async () => {
      const { head } = await pageOf(a, channel);
      expect(head).toMatchObject({ offset: 0, tag: "" });
      await a.publish(channel, text("1"));
      expect(contents((await pageOf(b, channel, head)).entries)).toEqual(["1"]);
    });

    test("reads page by page through a long log, large entries included, and leaves out nothing", async () => {
      const data = new Uint8Array(Math.min(limits.maxEntryBytes, 100_000));
      const sizes = [...Array(1500).fill(10), ...Array(25).fill(data.length), ...Array(5).fill(10)];
      await Promise.all(sizes.map((size) => a.publish(channel, data.subarray(0, size))));
      const offsets: number[] = [];
      let since: Position | undefined;
      for (;;) {
        const page = await pageOf(b, channel, since);
        if (page.entries.length === 0) break;
        expect(page.entries.length).toBeLessThanOrEqual(1000);
        offsets.push(...page.entries.map(({ offset }) => offset));
        const { offset = 0, tag = "" } = page.entries.at(-1) ?? {};
        since = { epoch: page.head.epoch, offset, tag };
      }
      expect(offsets).toEqual(sizes.map((_, n) => n + 1));
    });

    test("reports the head of the page's own moment while the channel is busy", async () => {
      const publishing = Promise.all(Array.from({ length: 400 }, (_, n) => a.publish(channel, text(`${n}`))));
      for (let n = 0; n < 40; n++) {
        const { entries, head, seq } = await pageOf(b, channel);
        expect(entries.at(-1)?.seq ?? 0).toBe(seq);
        expect(entries.at(-1)?.offset ?? 0).toBe(head.offset);
        expect(entries.at(-1)?.tag ?? "").toBe(head.tag);
      }
      await publishing;
    });

    test.each([-1, 1.5, Number.NaN, "5"])("refuses the limit %j", async (limit) => {
      const reading = a.history(channel, { limit: limit as number });
      await expect(reading).rejects.toMatchObject({ code: "QUERY_INVALID" });
    });
  });

  if (abilities.retention === true)
    describe("a position that the log can't be continued at", () => {
      const retention = { ...KEPT, maxEntries: 3 };
      let at: Position[];

      beforeEach(async () => {
        at = [];
        for (let n = 1; n <= 6; n++)
          at.push((await a.publish(channel, text(`${n}`), { retention })).position);
      });

      /** Entries 4, 5 and 6 are kept. */
      function position(offset: number): Position {
        const found = at[offset - 1];
        if (!found) throw new RangeError(`There is no entry ${offset}.`);
        return found;
      }

      async function reasonFor(since: Position): Promise<string> {
        const history = await b.history(channel, { since });
        expect(history.head).toEqual(position(6));
        return history.type === "page" ? `page of ${history.entries.length}` : history.reason;
      }

      test("is refused for its epoch", async () => {
        expect(await reasonFor({ ...position(5), epoch: "another" })).toBe("epoch");
        expect(await reasonFor({ epoch: "another", offset: 0, tag: "" })).toBe("epoch");
        expect(await reasonFor({ ...position(6), epoch: "another", offset: 99 })).toBe("epoch");
      });

      test("is refused when it is ahead of the head", async () => {
        expect(await reasonFor({ ...position(6), offset: 7 })).toBe("ahead");
      });

      test("is refused for its tag, at the head and before it", async () => {
        expect(await reasonFor({ ...position(6), tag: "other" })).toBe("tag");
        expect(await reasonFor({ ...position(5), tag: "other" })).toBe("tag");
        expect(await reasonFor({ ...position(5), tag: position(6).tag })).toBe("tag");
      });

      test("is refused when entries after it, or its own, are no longer kept", async () => {
        expect(await reasonFor({ epoch: position(1).epoch, offset: 0, tag: "" })).toBe("trimmed");
        expect(await reasonFor(position(1))).toBe("trimmed");
        expect(await reasonFor(position(3))).toBe("trimmed");
      });

      test("is told from one that can", async () => {
        expect(await reasonFor(position(4))).toBe("page of 2");
        expect(await reasonFor(position(6))).toBe("page of 0");
      });
    });

  if (abilities.retention === true)
    describe("retention", () => {
      test("shows no more entries than it allows, the newest", async () => {
        const retention = { ...KEPT, maxEntries: 10 };
        const published = [];
        for (let n = 1; n <= 150; n++)
          published.push(await a.publish(channel, text(`${n}`), n === 1 ? { retention } : {}));
        const { entries, head, seq } = await pageOf(b, channel);
        expect(seq).toBe(published.at(-1)?.seq);
        expect(entries.map(({ offset }) => offset)).toEqual([
          141, 142, 143, 144, 145, 146, 147, 148, 149, 150,
        ]);
        expect(head.offset).toBe(150);
      });

      test("shows no entry that is older than it allows", async () => {
        const retention = { ...KEPT, maxAgeMs: 1_000 };
        const { position, seq } = await a.publish(channel, text("1"), { retention });
        expect((await pageOf(b, channel)).entries).toHaveLength(1);
        await vi.waitFor(async () => expect((await pageOf(b, channel)).entries).toEqual([]), WAIT);
        // The head can be checked although its entry is gone.
        expect(await pageOf(b, channel, position)).toEqual({
          type: "page",
          entries: [],
          head: position,
          seq,
        });
        const history = await b.history(channel, { since: { ...position, tag: "other" } });
        expect(history).toEqual({ type: "unrecoverable", reason: "tag", head: position, seq });
        expect(await b.history(channel, { limit: 0 })).toEqual({
          type: "page",
          entries: [],
          head: position,
          seq,
        });
        const { position: next, seq: last } = await a.publish(channel, text("2"));
        expect(next).toMatchObject({ epoch: position.epoch, offset: 2 });
        const refused = await b.history(channel, { since: position });
        expect(refused).toEqual({ type: "unrecoverable", reason: "trimmed", head: next, seq: last });
      });
    });

  if (abilities.backwards === true)
    describe("history backwards", () => {
      test("reads the newest first, and on before a position", async () => {
        const at: Position[] = [];
        for (let n = 1; n <= 5; n++) at.push((await a.publish(channel, text(`${n}`))).position);
        const read = async (before?: Position, limit?: number) => {
          const query = { backwards: true, ...(before && { before }), ...(limit !== undefined && { limit }) };
          const history = await b.history(channel, query);
          expect(history.head).toEqual(at[4]);
          return history.type === "page" ? contents(history.entries) : history.reason;
        };
        expect(await read()).toEqual(["5", "4", "3", "2", "1"]);
        expect(await read(undefined, 2)).toEqual(["5", "4"]);
        expect(await read(at[3], 2)).toEqual(["3", "2"]);
        expect(await read(at[0])).toEqual([]);
        expect(await read(undefined, 0)).toEqual([]);
        expect(await read({ ...(at[0] as Position), offset: 0, tag: "" })).toEqual([]);
        expect(await read({ ...(at[3] as Position), epoch: "another" })).toBe("epoch");
        expect(await read({ ...(at[4] as Position), offset: 6 })).toBe("ahead");
        expect(await read({ ...(at[3] as Position), tag: "other" })).toBe("tag");
      });

      test("reads page by page down to the oldest entry kept, and leaves out nothing", async () => {
        const batch = Array.from({ length: 1000 }, (_, n) => ({ channel, data: text(`${n}`) }));
        for (let n = 0; n < 2; n++) await a.publishAll(batch);
        const large = new Uint8Array(Math.min(limits.maxEntryBytes, 100_000));
        for (let n = 0; n < 25; n++) await a.publish(channel, large);
        const offsets: number[] = [];
        let before: Position | undefined;
        for (;;) {
          const history = await b.history(channel, { backwards: true, ...(before && { before }) });
          if (history.type !== "page") throw new Error(`It was refused: ${history.reason}.`);
          const last: Entry | undefined = history.entries.at(-1);
          if (!last) break;
          expect(history.entries.length).toBeLessThanOrEqual(1000);
          offsets.push(...history.entries.map(({ offset }) => offset));
          before = { epoch: history.head.epoch, offset: last.offset, tag: last.tag };
        }
        expect(offsets).toEqual(Array.from({ length: 2025 }, (_, n) => 2025 - n));
      });

      if (abilities.retention === true)
        test("shows nothing that retention has dropped", async () => {
          const retention = { ...KEPT, maxEntries: 3 };
          const first = (await a.publish(channel, text("1"), { retention })).position;
          for (let n = 2; n <= 6; n++) await a.publish(channel, text(`${n}`));
          const history = await b.history(channel, { backwards: true });
          expect(history.type === "page" && contents(history.entries)).toEqual(["6", "5", "4"]);
          // Nobody can say any more whose position it is; what is before it is gone in any case.
          expect(await b.history(channel, { backwards: true, before: first })).toMatchObject({
            type: "page",
            entries: [],
          });
        });

      test("is not mixed up with reading forwards", async () => {
        const position = (await a.publish(channel, text("1"))).position;
        const refused = { code: "QUERY_INVALID" };
        await expect(a.history(channel, { backwards: true, since: position })).rejects.toMatchObject(refused);
        await expect(a.history(channel, { before: position })).rejects.toMatchObject(refused);
      });
    });
}
