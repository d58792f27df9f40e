import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { modelCheck } from "./contract-model.ts";
import type { Broker, ChannelEvent, Entry, Position, Published, Subscription } from "./port.ts";

/** Two nodes of one engine: two connections to one broker, or the same broker twice where an engine has no more. */
export interface BrokerPair {
  readonly a: Broker;
  readonly b: Broker;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BrokerCapabilities {
  /** The largest entry that the engine takes, in bytes. */
  readonly maxEntryBytes: number;
  /** Whether retention by age is per channel and to the millisecond, or coarser than a test can wait for. */
  readonly retentionByAge: boolean;
}

export interface BrokerContract {
  readonly name: string;
  /** A fresh pair. What they hold together starts empty, or the channels' names here meet nothing that is there. */
  make(): Promise<BrokerPair>;
  readonly capabilities: BrokerCapabilities;
}

const KEPT = { maxEntries: 10_000, maxAgeMs: 3_600_000 };
const WAIT = { timeout: 10_000, interval: 5 };

/**
 * Defines the vitest suite that an engine passes to be a broker for Holdfast: everything that `port.ts` promises and
 * that can be seen without breaking the engine. What happens when it breaks is for the engine's own tests.
 */
export function brokerContract({ name, make, capabilities }: BrokerContract): void {
  describe(`${name} keeps the broker contract`, () => {
    let pair: BrokerPair;
    let a: Broker;
    let b: Broker;
    let channel: string;

    beforeEach(async () => {
      pair = await make();
      ({ a, b } = pair);
      channel = `contract.${Math.random().toString(36).slice(2)}`;
    });

    afterEach(() => pair[Symbol.asyncDispose]());

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
        const { maxEntryBytes } = capabilities;
        const large = new Uint8Array(maxEntryBytes).fill(7);
        await a.publish(channel, large);
        const [entry] = (await pageOf(b, channel)).entries;
        expect(Buffer.compare(entry?.data ?? text(""), large)).toBe(0);
        const publishing = a.publish(channel, new Uint8Array(maxEntryBytes + 1));
        await expect(publishing).rejects.toMatchObject({ code: "ENTRY_TOO_LARGE" });
        expect((await pageOf(b, channel)).head.offset).toBe(1);
      });

      test.each([
        { maxEntries: 0, maxAgeMs: 1000 },
        { maxEntries: 10, maxAgeMs: 0 },
        { maxEntries: 1.5, maxAgeMs: 1000 },
        { maxEntries: Number.NaN, maxAgeMs: 1000 },
      ])("refuses the retention %j", async (retention) => {
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

    describe("subscribing", () => {
      test("tells the head first, before the subscription resolves, and then each entry", async () => {
        const { position } = await a.publish(channel, text("before"));
        const seen = follow();
        const subscription = await b.subscribe(channel, seen.listener);
        expect(seen.events).toEqual([{ type: "subscribed", head: position }]);
        await a.publish(channel, text("after"));
        await vi.waitFor(() => expect(contents(seen.entries())).toEqual(["after"]), WAIT);
        await subscription.close();
      });

      test("knows the epoch of a channel that has no entry yet", async () => {
        const seen = follow();
        await a.subscribe(channel, seen.listener);
        const [first] = seen.events;
        const head = first?.type === "subscribed" ? first.head : undefined;
        expect(head).toMatchObject({ offset: 0, tag: "" });
        const { position } = await b.publish(channel, text("first"));
        expect(position.epoch).toBe(head?.epoch);
        expect((await pageOf(b, channel, head)).entries).toHaveLength(1);
      });

      test("gives all subscribers on both nodes one order of what both publish at once", async () => {
        const seen = [follow(), follow(), follow()];
        for (const [n, { listener }] of seen.entries()) await (n % 2 ? b : a).subscribe(channel, listener);
        await Promise.all(
          Array.from({ length: 300 }, (_, n) => (n % 2 ? a : b).publish(channel, text(`${n}`))),
        );
        const log = (await pageOf(a, channel)).entries;
        expect(log).toHaveLength(300);
        for (const { entries } of seen)
          await vi.waitFor(() => expect(entries().map(mark)).toEqual(log.map(mark)), WAIT);
      });

      test("delivers no entry of another channel", async () => {
        const seen = follow();
        await b.subscribe(channel, seen.listener);
        await a.publish(`${channel}x`, text("other"));
        await a.publish(channel, text("own"));
        await vi.waitFor(() => expect(contents(seen.entries())).toEqual(["own"]), WAIT);
      });

      test("delivers nothing after a subscription is closed, and closing it again is allowed", async () => {
        const [closed, open] = [follow(), follow()];
        const subscription = await b.subscribe(channel, closed.listener);
        await b.subscribe(channel, open.listener);
        await a.publish(channel, text("1"));
        await vi.waitFor(() => expect(open.entries()).toHaveLength(1), WAIT);
        await subscription.close();
        await subscription.close();
        const before = closed.events.length;
        await a.publish(channel, text("2"));
        await vi.waitFor(() => expect(open.entries()).toHaveLength(2), WAIT);
        expect(closed.events).toHaveLength(before);
      });

      test("may be closed by its own listener, which then hears nothing more", async () => {
        const closing = follow();
        const open = follow();
        const holder: { subscription?: Subscription } = {};
        holder.subscription = await b.subscribe(channel, (event) => {
          closing.listener(event);
          if (event.type === "entry") void holder.subscription?.close();
        });
        await b.subscribe(channel, open.listener);
        await Promise.all(["1", "2", "3"].map((n) => a.publish(channel, text(n))));
        await vi.waitFor(() => expect(open.entries()).toHaveLength(3), WAIT);
        expect(closing.entries()).toHaveLength(1);
      });

      test("gives the other listeners everything when one throws", async () => {
        const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
        const [before, after] = [follow(), follow()];
        await b.subscribe(channel, before.listener);
        await b.subscribe(channel, () => {
          throw new Error("This listener always throws.");
        });
        await b.subscribe(channel, after.listener);
        for (let n = 0; n < 3; n++) await a.publish(channel, text(`${n}`));
        for (const { entries } of [before, after])
          await vi.waitFor(() => expect(contents(entries())).toEqual(["0", "1", "2"]), WAIT);
        warning.mockRestore();
      });

      test("serves a subscriber that joins while the channel is busy exactly what comes after its head", async () => {
        const publishing = Promise.all(
          Array.from({ length: 500 }, (_, n) => a.publish(channel, text(`${n}`))),
        );
        const seen = [follow(), follow(), follow(), follow()];
        for (const { listener } of seen) await b.subscribe(channel, listener);
        await publishing;
        const log = (await pageOf(a, channel)).entries;
        for (const { events, entries } of seen) {
          const [first] = events;
          const head = first?.type === "subscribed" ? first.head.offset : -1;
          await vi.waitFor(() => expect(entries().map(mark)).toEqual(log.slice(head).map(mark)), WAIT);
        }
      });
    });

    describe("history", () => {
      test("reads from the oldest entry, or from a position on, at most as many as asked for", async () => {
        const at: Position[] = [];
        for (let n = 1; n <= 5; n++) at.push((await a.publish(channel, text(`${n}`))).position);
        const head = at[4];
        const [all, two] = [await pageOf(b, channel), await pageOf(b, channel, undefined, 2)];
        expect(contents(all.entries)).toEqual(["1", "2", "3", "4", "5"]);
        expect(contents(two.entries)).toEqual(["1", "2"]);
        expect(contents((await pageOf(b, channel, at[1], 2)).entries)).toEqual(["3", "4"]);
        expect(await pageOf(b, channel, at[4])).toEqual({ type: "page", entries: [], head });
        expect(await pageOf(b, channel, at[0], 0)).toEqual({ type: "page", entries: [], head });
        expect([all.head, two.head]).toEqual([head, head]);
      });

      test("reads from before the first entry", async () => {
        const { head } = await pageOf(a, channel);
        expect(head).toMatchObject({ offset: 0, tag: "" });
        await a.publish(channel, text("1"));
        expect(contents((await pageOf(b, channel, head)).entries)).toEqual(["1"]);
      });

      test("reads page by page through a long log, large entries included, and leaves out nothing", async () => {
        const data = new Uint8Array(Math.min(capabilities.maxEntryBytes, 100_000));
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
        const publishing = Promise.all(
          Array.from({ length: 400 }, (_, n) => a.publish(channel, text(`${n}`))),
        );
        for (let n = 0; n < 40; n++) {
          const { entries, head } = await pageOf(b, channel);
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

    describe("retention", () => {
      test("shows no more entries than it allows, the newest", async () => {
        const retention = { ...KEPT, maxEntries: 10 };
        for (let n = 1; n <= 150; n++) await a.publish(channel, text(`${n}`), n === 1 ? { retention } : {});
        const { entries, head } = await pageOf(b, channel);
        expect(entries.map(({ offset }) => offset)).toEqual([
          141, 142, 143, 144, 145, 146, 147, 148, 149, 150,
        ]);
        expect(head.offset).toBe(150);
      });

      test.runIf(capabilities.retentionByAge)("shows no entry that is older than it allows", async () => {
        const retention = { ...KEPT, maxAgeMs: 300 };
        const { position } = await a.publish(channel, text("1"), { retention });
        expect((await pageOf(b, channel)).entries).toHaveLength(1);
        await vi.waitFor(async () => expect((await pageOf(b, channel)).entries).toEqual([]), WAIT);
        // The head can be checked although its entry is gone.
        expect(await pageOf(b, channel, position)).toEqual({ type: "page", entries: [], head: position });
        const history = await b.history(channel, { since: { ...position, tag: "other" } });
        expect(history).toEqual({ type: "unrecoverable", reason: "tag", head: position });
        const { position: next } = await a.publish(channel, text("2"));
        expect(next).toMatchObject({ epoch: position.epoch, offset: 2 });
        const refused = await b.history(channel, { since: position });
        expect(refused).toEqual({ type: "unrecoverable", reason: "trimmed", head: next });
      });
    });

    describe("its state", () => {
      test("is told to a watcher at once, and soon it is available", async () => {
        const told: string[] = [];
        const unwatch = a.watch(({ type }) => told.push(type));
        expect(told).toHaveLength(1);
        await vi.waitFor(() => expect(told.at(-1)).toBe("available"), WAIT);
        unwatch();
      });

      test("refuses every call once it is closed, and delivers nothing more", async () => {
        const seen = follow();
        const subscription = await a.subscribe(channel, seen.listener);
        await a.close();
        await a.close();
        const closed = { code: "BROKER_CLOSED" };
        await expect(a.publish(channel, text("x"))).rejects.toMatchObject(closed);
        await expect(a.subscribe(channel, () => undefined)).rejects.toMatchObject(closed);
        await expect(a.history(channel, {})).rejects.toMatchObject(closed);
        await subscription.close();
        expect(seen.events).toHaveLength(1);
      });
    });

    test("agrees with a model while publishers and subscribers come and go at random", () =>
      modelCheck(a, b));
  });
}

interface Follower {
  readonly events: ChannelEvent[];
  readonly listener: (event: ChannelEvent) => void;
  readonly entries: () => Entry[];
}

function follow(): Follower {
  const events: ChannelEvent[] = [];
  return {
    events,
    listener: (event) => events.push(event),
    entries: () => events.flatMap((event) => (event.type === "entry" ? [event.entry] : [])),
  };
}

async function pageOf(broker: Broker, channel: string, since?: Position, limit?: number) {
  const query = { ...(since && { since }), ...(limit !== undefined && { limit }) };
  const history = await broker.history(channel, query);
  if (history.type !== "page") throw new Error(`The position was refused: ${history.reason}.`);
  return history;
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function contents(entries: readonly Entry[]): string[] {
  return entries.map(({ data }) => new TextDecoder().decode(data));
}

function mark({ offset, tag, seq, data }: Entry): string {
  return `${offset} ${tag} ${seq} ${new TextDecoder().decode(data)}`;
}
