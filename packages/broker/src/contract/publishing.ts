import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Broker, Published } from "../port.ts";
import { contents, follow, pageOf, text, WAIT, type World } from "./world.ts";

/** What `publish`, `publishAll` and `notify` promise. */
export function publishingContract(world: World): void {
  const { limits, abilities } = world;
  let a: Broker;
  let b: Broker;
  let channel: string;

  beforeEach(() => {
    ({ a, b, channel } = world);
  });

  describe("publishing", () => {
    test("numbers a channel's entries from 1 without holes, and seq increases", async () => {
      const published: Published[] = [];
      for (let n = 1; n <= 5; n++) published.push(await (n % 2 ? a : b).publish(channel, text(`${n}`)));
      expect(published.map(({ position }) => position.offset)).toEqual([1, 2, 3, 4, 5]);
      const seqs = published.map(({ seq }) => seq);
      expect(seqs).toEqual([...new Set(seqs)].sort((x, y) => x - y));
      expect(new Set(published.map(({ position }) => position.epoch)).size).toBe(1);
      expect(published.every(({ duplicate }) => !duplicate)).toBe(true);
      expect(published.every(({ position }) => position.tag !== "")).toBe(true);
    });

    test("gives concurrent publishes from two nodes distinct offsets without holes", async () => {
      const published = await Promise.all(
        Array.from({ length: 200 }, (_, n) => (n % 2 ? a : b).publish(channel, text(`${n}`))),
      );
      const offsets = published.map(({ position }) => position.offset).sort((x, y) => x - y);
      expect(offsets).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
    });

    test("shows an accepted entry to every history that is asked for afterwards, on both nodes", async () => {
      for (let n = 1; n <= 20; n++) {
        const { position, seq } = await a.publish(channel, text(`${n}`));
        for (const node of [a, b]) {
          const page = await pageOf(node, channel);
          expect(page.head).toEqual(position);
          expect(page.entries.at(-1)).toMatchObject({ offset: n, tag: position.tag, seq });
        }
      }
    });

    test("appends one entry for a repeated idempotency key", async () => {
      const first = await a.publish(channel, text("first"), { idempotencyKey: "key" });
      const second = await b.publish(channel, text("second"), { idempotencyKey: "key" });
      expect(first.duplicate).toBe(false);
      expect(second).toEqual({ ...first, duplicate: true });
      expect(contents((await pageOf(a, channel)).entries)).toEqual(["first"]);
    });

    test("appends one entry for concurrent publishes with one idempotency key", async () => {
      const published = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          (n % 2 ? a : b).publish(channel, text(`${n}`), { idempotencyKey: "k" }),
        ),
      );
      expect(new Set(published.map(({ position }) => JSON.stringify(position))).size).toBe(1);
      expect(published.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect((await pageOf(b, channel)).entries).toHaveLength(1);
    });

    test("keeps idempotency keys of different channels apart", async () => {
      const [one, other] = [`${channel}:1`, `${channel}:2`];
      expect((await a.publish(one, text("x"), { idempotencyKey: "key" })).duplicate).toBe(false);
      expect((await a.publish(other, text("x"), { idempotencyKey: "key" })).duplicate).toBe(false);
    });

    test.each(["", "x".repeat(257), "\ud800"])("refuses the idempotency key %j", async (idempotencyKey) => {
      const publishing = a.publish(channel, text("x"), { idempotencyKey });
      await expect(publishing).rejects.toMatchObject({ code: "IDEMPOTENCY_KEY_INVALID" });
    });

    test("carries any bytes unchanged, none included", async () => {
      const all = Uint8Array.from({ length: 1024 }, (_, n) => n & 255);
      const sent = [new Uint8Array(), all, all.subarray(100, 300), Buffer.from([0, 0, 0])];
      for (const data of sent) await a.publish(channel, data);
      const { entries } = await pageOf(b, channel);
      expect(entries.map(({ data }) => [...data])).toEqual(sent.map((data) => [...data]));
    });

    test("has its own copy of the data before the publisher can change it", async () => {
      const data = text("before");
      const publishing = a.publish(channel, data);
      data.fill(0);
      await publishing;
      expect(contents((await pageOf(b, channel)).entries)).toEqual(["before"]);
    });

    test("takes an entry of the largest size and refuses a larger one", async () => {
      const { maxEntryBytes } = limits;
      const large = new Uint8Array(maxEntryBytes).fill(7);
      await a.publish(channel, large);
      const [entry] = (await pageOf(b, channel)).entries;
      expect(Buffer.compare(entry?.data ?? text(""), large)).toBe(0);
      const publishing = a.publish(channel, new Uint8Array(maxEntryBytes + 1));
      await expect(publishing).rejects.toMatchObject({ code: "ENTRY_TOO_LARGE" });
      expect((await pageOf(b, channel)).head.offset).toBe(1);
    });

    const bad = [
      { maxEntries: 0, maxAgeMs: 1000 },
      { maxEntries: 10, maxAgeMs: 0 },
      { maxEntries: 1.5, maxAgeMs: 1000 },
      { maxEntries: Number.NaN, maxAgeMs: 1000 },
    ];
    test.each(abilities.retention === true ? bad : [])("refuses the retention %j", async (retention) => {
      const publishing = a.publish(channel, text("x"), { retention });
      await expect(publishing).rejects.toMatchObject({ code: "RETENTION_INVALID" });
    });
  });

  describe("names", () => {
    test.each(["", "a".repeat(201), "a b", "ä", "a\n", "a\0", "a*", "a/b?", "💬"])(
      "refuses the channel name %j everywhere",
      async (bad) => {
        const refusal = { code: "CHANNEL_INVALID" };
        await expect(a.publish(bad, text("x"))).rejects.toMatchObject(refusal);
        await expect(a.subscribe(bad, () => undefined)).rejects.toMatchObject(refusal);
        await expect(a.history(bad, {})).rejects.toMatchObject(refusal);
      },
    );

    test("takes every character that a name may have, and 200 of them, and keeps case apart", async () => {
      const names = [`${channel}_-.:/=@,+~#AZaz09`, channel.padEnd(200, "x"), `${channel}x`, `${channel}X`];
      for (const name of names) await a.publish(name, text(name));
      for (const name of names) expect(contents((await pageOf(b, name)).entries)).toEqual([name]);
    });

    test.each(["__proto__", "constructor", "toString"])(
      "takes %s for a name like any other",
      async (name) => {
        const { position } = await a.publish(name, text(name));
        expect((await pageOf(b, name)).head).toEqual(position);
      },
    );
  });

  describe("publishing many", () => {
    test("accepts all of them, each with its own outcome, in order within each channel", async () => {
      const publications = Array.from({ length: 1000 }, (_, n) => ({
        channel: `${channel}.${n % 7}`,
        data: text(`${n}`),
      }));
      const outcomes = await a.publishAll(publications);
      expect(outcomes).toHaveLength(1000);
      for (let lane = 0; lane < 7; lane++) {
        const { entries } = await pageOf(b, `${channel}.${lane}`);
        const mine = publications.filter((_, n) => n % 7 === lane);
        expect(contents(entries)).toEqual(mine.map(({ data }) => new TextDecoder().decode(data)));
        const told = outcomes.filter((_, n) => n % 7 === lane);
        expect(told).toMatchObject(
          entries.map(({ offset, tag, seq }) => ({
            type: "published",
            position: { offset, tag },
            seq,
            duplicate: false,
          })),
        );
      }
    });

    test("refuses what is not valid, and holds up nothing else for it", async () => {
      const outcomes = await a.publishAll([
        { channel, data: text("1") },
        { channel: "no name", data: text("x") },
        { channel, data: new Uint8Array(limits.maxEntryBytes + 1) },
        { channel, data: text("x"), idempotencyKey: "" },
        { channel, data: text("2") },
      ]);
      expect(outcomes).toMatchObject([
        { type: "published", position: { offset: 1 } },
        { type: "refused", error: { code: "CHANNEL_INVALID", retryable: false } },
        { type: "refused", error: { code: "ENTRY_TOO_LARGE" } },
        { type: "refused", error: { code: "IDEMPOTENCY_KEY_INVALID" } },
        { type: "published", position: { offset: 2 } },
      ]);
      expect(contents((await pageOf(b, channel)).entries)).toEqual(["1", "2"]);
    });

    test("appends nothing for a batch that is repeated, or a key that it holds twice", async () => {
      const batch = ["x", "y", "x"].map((idempotencyKey, n) => ({
        channel,
        data: text(`${n}`),
        idempotencyKey,
      }));
      const first = await a.publishAll(batch);
      expect(first).toMatchObject([{ duplicate: false }, { duplicate: false }, { duplicate: true }]);
      expect(first[2]).toEqual({ ...first[0], duplicate: true });
      const again = await b.publishAll(batch);
      expect(again).toEqual(first.map((outcome) => ({ ...outcome, duplicate: true })));
      expect((await pageOf(a, channel)).entries).toHaveLength(2);
    });

    test("keeps each batch's order while two nodes publish at once", async () => {
      const seen = follow();
      await b.subscribe(channel, seen.listener);
      const batch = (name: string) =>
        Array.from({ length: 50 }, (_, n) => ({ channel, data: text(`${name}${n}`) }));
      await Promise.all(["p", "q", "r", "s"].map((name, n) => (n % 2 ? a : b).publishAll(batch(name))));
      await vi.waitFor(() => expect(seen.entries()).toHaveLength(200), WAIT);
      for (const name of ["p", "q", "r", "s"]) {
        const own = contents(seen.entries()).filter((content) => content.startsWith(name));
        expect(own).toEqual(Array.from({ length: 50 }, (_, n) => `${name}${n}`));
      }
    });

    test.each([
      ["none", 0, 1],
      ["too many", 1001, 1],
      ["too many bytes", 5, 500_000],
    ])("refuses %s", async (_title, count, size) => {
      const batch = Array.from({ length: count }, () => ({ channel, data: new Uint8Array(size) }));
      await expect(a.publishAll(batch)).rejects.toMatchObject({ code: "BATCH_INVALID", retryable: false });
    });
  });

  if (abilities.volatile === true)
    describe("notifying", () => {
      test("reaches those who are subscribed, on both nodes, and leaves nothing in the log", async () => {
        const [near, far, other] = [follow(), follow(), follow()];
        await a.subscribe(channel, near.listener);
        await b.subscribe(channel, far.listener);
        await b.subscribe(`${channel}x`, other.listener);
        const data = text("typing");
        const notifying = a.notify(channel, data);
        data.fill(0);
        await notifying;
        for (const { events } of [near, far])
          await vi.waitFor(
            () => expect(events.at(-1)).toEqual({ type: "volatile", data: text("typing") }),
            WAIT,
          );
        const { position } = await a.publish(channel, text("1"));
        expect(position.offset).toBe(1);
        await vi.waitFor(() => expect(contents(far.entries())).toEqual(["1"]), WAIT);
        expect((await pageOf(b, channel)).entries).toHaveLength(1);
        expect(other.events).toHaveLength(1);
      });

      test("keeps the order of one node's messages to a channel", async () => {
        const seen = follow();
        await b.subscribe(channel, seen.listener);
        await Promise.all(Array.from({ length: 100 }, (_, n) => a.notify(channel, text(`${n}`))));
        const told = () => seen.events.flatMap((event) => (event.type === "volatile" ? [event.data] : []));
        await vi.waitFor(() => expect(told()).toHaveLength(100), WAIT);
        expect(told().map((data) => new TextDecoder().decode(data))).toEqual(
          Array.from({ length: 100 }, (_, n) => `${n}`),
        );
      });

      test("refuses what publishing refuses", async () => {
        await expect(a.notify("no name", text("x"))).rejects.toMatchObject({ code: "CHANNEL_INVALID" });
        const large = new Uint8Array(limits.maxEntryBytes + 1);
        await expect(a.notify(channel, large)).rejects.toMatchObject({ code: "ENTRY_TOO_LARGE" });
      });
    });
}
