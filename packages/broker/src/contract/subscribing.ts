import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Broker, Position, Subscription } from "../port.ts";
import { contents, follow, KEPT, mark, pageOf, text, WAIT, type World } from "./world.ts";

/** What `subscribe`, `watch` and `close` promise. */
export function subscribingContract(world: World): void {
  const { abilities } = world;
  let a: Broker;
  let b: Broker;
  let channel: string;

  beforeEach(() => {
    ({ a, b, channel } = world);
  });

  describe("subscribing", () => {
    test("tells the head first, before the subscription resolves, and then each entry", async () => {
      const { position } = await a.publish(channel, text("before"));
      const seen = follow();
      const subscription = await b.subscribe(channel, seen.listener);
      expect(seen.events).toEqual([{ type: "subscribed", position }]);
      await a.publish(channel, text("after"));
      await vi.waitFor(() => expect(contents(seen.entries())).toEqual(["after"]), WAIT);
      await subscription.close();
    });

    test("knows the epoch of a channel that has no entry yet", async () => {
      const seen = follow();
      await a.subscribe(channel, seen.listener);
      const [first] = seen.events;
      const head = first?.type === "subscribed" ? first.position : undefined;
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
      const publishing = Promise.all(Array.from({ length: 500 }, (_, n) => a.publish(channel, text(`${n}`))));
      const seen = [follow(), follow(), follow(), follow()];
      for (const { listener } of seen) await b.subscribe(channel, listener);
      await publishing;
      const log = (await pageOf(a, channel)).entries;
      for (const { events, entries } of seen) {
        const [first] = events;
        const head = first?.type === "subscribed" ? first.position.offset : -1;
        await vi.waitFor(() => expect(entries().map(mark)).toEqual(log.slice(head).map(mark)), WAIT);
      }
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

  describe("subscribing from a position", () => {
    /** Where the log stands after each of so many entries, and before the first. */
    async function fill(count: number): Promise<Position[]> {
      const { head } = await pageOf(a, channel);
      const published = await Promise.all(
        Array.from({ length: count }, (_, n) => a.publish(channel, text(`${n + 1}`))),
      );
      return [head, ...published.map(({ position }) => position)].sort((x, y) => x.offset - y.offset);
    }

    test("delivers everything after it, with no seam to what comes now", async () => {
      const at = await fill(20);
      const seen = follow();
      const publishing = Promise.all(
        Array.from({ length: 20 }, (_, n) => a.publish(channel, text(`new ${n}`))),
      );
      await b.subscribe(channel, seen.listener, { since: at[7] as Position });
      expect(seen.events[0]).toEqual({ type: "subscribed", position: at[7] });
      await publishing;
      const log = (await pageOf(a, channel)).entries;
      await vi.waitFor(() => expect(seen.entries().map(mark)).toEqual(log.slice(7).map(mark)), WAIT);
    });

    test("goes on from the head, and from before the first entry", async () => {
      const at = await fill(3);
      for (const since of [at[3] as Position, at[0] as Position]) {
        const seen = follow();
        await b.subscribe(channel, seen.listener, { since });
        expect(seen.events[0]).toEqual({ type: "subscribed", position: since });
        const { position } = await a.publish(channel, text("next"));
        await vi.waitFor(() => expect(seen.entries().at(-1)?.offset).toBe(position.offset), WAIT);
        const offsets = seen.entries().map(({ offset }) => offset);
        expect(offsets).toEqual(
          Array.from({ length: position.offset - since.offset }, (_, n) => since.offset + 1 + n),
        );
      }
    });

    test("reads on through a log of many pages while others publish, for many subscribers at once", async () => {
      const batch = Array.from({ length: 900 }, (_, n) => ({ channel, data: text(`${n}`) }));
      const { head } = await pageOf(a, channel);
      for (let n = 0; n < 3; n++) await a.publishAll(batch);
      const middle = (await pageOf(a, channel)).entries[499];
      const since = { ...head, offset: 500, tag: middle?.tag ?? "" };
      const seen = Array.from({ length: 6 }, () => follow());
      const publishing = b.publishAll(batch.slice(0, 300));
      await Promise.all(
        seen.map(({ listener }, n) =>
          (n % 2 ? a : b).subscribe(channel, listener, { since: n < 3 ? head : since }),
        ),
      );
      await publishing;
      for (const [n, { entries }] of seen.entries()) {
        const from = n < 3 ? 0 : 500;
        await vi.waitFor(() => expect(entries()).toHaveLength(3000 - from), WAIT);
        expect(entries().map(({ offset }) => offset)).toEqual(
          Array.from({ length: 3000 - from }, (_, k) => from + 1 + k),
        );
      }
    });

    test.each([
      ["epoch", (at: Position) => ({ ...at, epoch: "another" })],
      ["ahead", (at: Position) => ({ ...at, offset: at.offset + 1 })],
      ["tag", (at: Position) => ({ ...at, tag: "other" })],
    ])("says why it can't (%s), and goes on after the head", async (reason, spoil) => {
      const at = await fill(3);
      const seen = follow();
      await b.subscribe(channel, seen.listener, { since: spoil(at[3] as Position) });
      expect(seen.events).toEqual([{ type: "reset", reason, head: at[3] }]);
      await a.publish(channel, text("next"));
      await vi.waitFor(() => expect(contents(seen.entries())).toEqual(["next"]), WAIT);
    });

    if (abilities.retention === true)
      test("says that entries after it are no longer kept", async () => {
        const at = await fill(5);
        await a.publish(channel, text("6"), { retention: { ...KEPT, maxEntries: 2 } });
        const seen = follow();
        await b.subscribe(channel, seen.listener, { since: at[2] as Position });
        expect(seen.events).toMatchObject([{ type: "reset", reason: "trimmed", head: { offset: 6 } }]);
      });

    test("delivers nothing more once it is closed, wherever it was", async () => {
      const at = await fill(50);
      const [closing, open] = [follow(), follow()];
      const holder: { subscription?: Subscription } = {};
      const subscribing = b.subscribe(
        channel,
        (event) => {
          closing.listener(event);
          void holder.subscription?.close();
        },
        { since: at[0] as Position },
      );
      holder.subscription = await subscribing;
      await holder.subscription.close();
      const before = closing.events.length;
      await b.subscribe(channel, open.listener);
      await a.publish(channel, text("next"));
      await vi.waitFor(() => expect(open.entries()).toHaveLength(1), WAIT);
      expect(closing.events).toHaveLength(before);
    });

    test("serves thousands of channels at once", async () => {
      const names = Array.from({ length: 2000 }, (_, n) => `${channel}.${n}`);
      const chunks = [names.slice(0, 1000), names.slice(1000)];
      const outcomes = (
        await Promise.all(
          chunks.map((part) => a.publishAll(part.map((name) => ({ channel: name, data: text("1") })))),
        )
      ).flat();
      const seen = names.map(() => follow());
      await Promise.all(
        names.map((name, n) => {
          const outcome = outcomes[n];
          const head = outcome?.type === "published" ? outcome.position : undefined;
          const options =
            n % 2 && head ? { since: n % 4 === 1 ? head : { ...head, offset: 0, tag: "" } } : {};
          return b.subscribe(name, (seen[n] as ReturnType<typeof follow>).listener, options);
        }),
      );
      await Promise.all(
        chunks.map((part) => a.publishAll(part.map((name) => ({ channel: name, data: text("2") })))),
      );
      const expected = names.map((_, n) => (n % 4 === 3 ? ["1", "2"] : ["2"]));
      await vi.waitFor(() => expect(seen.map(({ entries }) => contents(entries()))).toEqual(expected), {
        ...WAIT,
        interval: 50,
      });
    });

    test.each([
      { epoch: "e", offset: -1, tag: "" },
      { epoch: "e", offset: 1 },
    ])("refuses %j", async (since) => {
      const subscribing = a.subscribe(channel, () => undefined, { since: since as Position });
      await expect(subscribing).rejects.toMatchObject({ code: "QUERY_INVALID" });
    });
  });
}
