import { createServer } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { available, bytes, record, WAIT } from "../test/feed.ts";
import { servedBroker, TOKEN } from "../test/served-broker.ts";
import { FrameReader } from "./frame.ts";
import { OutgoingQueue } from "./outgoing-queue.ts";
import type { Broker, ChannelEvent, Position } from "./port.ts";
import { encodeServer } from "./server-messages.ts";

/** An address that no outgoing connection has, so that a port of it is still free when a server is back. */
const QUIET = "127.0.0.9";

const { broker, ends, serve, connectTo } = servedBroker();

/** A broker that does what another does, of which a test can change something. */
function forward(to: Broker): Broker {
  return {
    abilities: to.abilities,
    leases: to.leases,
    publish: (...args) => to.publish(...args),
    publishAll: (...args) => to.publishAll(...args),
    notify: (...args) => to.notify(...args),
    subscribe: (...args) => to.subscribe(...args),
    history: (...args) => to.history(...args),
    watch: (listener) => to.watch(listener),
    close: () => to.close(),
  };
}

describe("the connected broker", () => {
  test("shares one subscription of the served broker among its listeners, and ends it with the last", async () => {
    let open = 0;
    const counted: Broker = {
      ...forward(broker()),
      subscribe: async (...args) => {
        const subscription = await broker().subscribe(...args);
        open++;
        return {
          close: () => {
            open--;
            return subscription.close();
          },
        };
      },
    };
    const { url } = await serve({}, counted);
    const client = connectTo(url);
    const [one, two] = [record(), record()];
    const first = await client.subscribe("c", one.listener);
    await client.publish("c", bytes("1"));
    const second = await client.subscribe("c", two.listener);
    await client.publish("c", bytes("2"));
    expect([one.texts(), two.texts()]).toEqual([["1", "2"], ["2"]]);
    expect(two.events[0]).toMatchObject({ type: "subscribed", position: { offset: 1 } });
    expect(open).toBe(1);
    await first.close();
    await client.publish("c", bytes("3"));
    expect([one.texts(), two.texts()]).toEqual([
      ["1", "2"],
      ["2", "3"],
    ]);
    await second.close();
    await vi.waitFor(() => expect(open).toBe(0), WAIT);
  });

  test("subscribes ten thousand channels with a few frames each way, also from where they are", async () => {
    const { url } = await serve();
    const names = Array.from({ length: 10_000 }, (_, n) => `many.${n}`);
    const heads: Position[] = [];
    for (let from = 0; from < names.length; from += 1000) {
      const part = names.slice(from, from + 1000).map((channel) => ({ channel, data: bytes("x") }));
      for (const outcome of await broker().publishAll(part))
        if (outcome.type === "published") heads.push(outcome.position);
    }
    for (const since of [false, true]) {
      const client = connectTo(url);
      await available(client);
      const [next, encode] = [
        vi.spyOn(FrameReader.prototype, "next"),
        vi.spyOn(OutgoingQueue.prototype, "add"),
      ];
      await Promise.all(
        names.map((name, n) =>
          client.subscribe(name, () => undefined, since ? { since: heads[n] as Position } : {}),
        ),
      );
      // Both ends of the connection are in this process: what either of them read is counted.
      const frames = next.mock.results.filter(({ value }) => value !== undefined).length;
      expect(encode.mock.calls.length).toBeLessThanOrEqual(15);
      expect(frames).toBeLessThanOrEqual(30);
      vi.restoreAllMocks();
    }
  });

  test("passes on a reset of the served broker", async () => {
    const heads: Position[] = [
      { epoch: "e", offset: 3, tag: "a" },
      { epoch: "f", offset: 1, tag: "b" },
    ];
    const [before, after] = heads as [Position, Position];
    const told: { listener?: (event: ChannelEvent) => void } = {};
    const fake: Broker = {
      ...forward(broker()),
      publish: () => Promise.reject(new Error("This broker publishes nothing.")),
      history: async () => ({ type: "page", entries: [], head: before, seq: 3 }),
      watch: (listener) => {
        listener({ type: "available" });
        return () => undefined;
      },
      close: async () => undefined,
      subscribe: async (_channel, listener) => {
        told.listener = listener;
        listener({ type: "subscribed", position: before });
        return { close: async () => undefined };
      },
    };
    const { url } = await serve({}, fake);
    const [client, seen] = [connectTo(url), record()];
    await client.subscribe("c", seen.listener);
    told.listener?.({ type: "reset", head: after, reason: "epoch" });
    await vi.waitFor(
      () => expect(seen.events.at(-1)).toEqual({ type: "reset", head: after, reason: "epoch" }),
      WAIT,
    );
    const failing = client.publish("c", bytes("x"));
    await expect(failing).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE", retryable: true });
  });

  test("tells that it is unavailable when the broker behind the server is, or the server is gone", async () => {
    const served = await serve({ host: QUIET });
    const client = connectTo(served.url);
    await available(client);
    const statuses: string[] = [];
    client.watch(({ type }) => statuses.push(type));
    await served.close();
    await vi.waitFor(() => expect(statuses.at(-1)).toBe("unavailable"), WAIT);
    await serve({ host: QUIET, port: served.port });
    await vi.waitFor(() => expect(statuses.at(-1)).toBe("available"), WAIT);
  });

  test("waits for a server that is not there yet", async () => {
    const { url, close } = await serve({ host: QUIET });
    await close();
    const client = connectTo(url);
    const publishing = client.publish("c", bytes("early"));
    await serve({ host: QUIET, port: Number(new URL(url).port) });
    expect(await publishing).toMatchObject({ position: { offset: 1 }, duplicate: false });
  });

  test("gives up a call when its time is over", async () => {
    const { url, close } = await serve();
    await close();
    const client = connectTo(url, { requestMs: 60 });
    const unavailable = { code: "BROKER_UNAVAILABLE", retryable: true };
    await expect(client.publish("c", bytes("x"))).rejects.toMatchObject(unavailable);
    await expect(client.history("c", {})).rejects.toMatchObject(unavailable);
    await expect(client.subscribe("c", () => undefined)).rejects.toMatchObject(unavailable);
  });

  test("refuses a call at once when too many, or too many bytes, wait", async () => {
    const { url, close } = await serve();
    await close();
    const few = connectTo(url, { maxPending: 3 });
    const small = connectTo(url, { maxPendingBytes: 1000 });
    const waiting = [
      ...Array.from({ length: 3 }, () => few.publish("c", bytes("x"))),
      small.publish("c", new Uint8Array(1000)),
    ].map((publishing) => expect(publishing).rejects.toMatchObject({ code: "BROKER_CLOSED" }));
    const refused = { code: "BROKER_UNAVAILABLE" };
    await expect(few.publish("c", bytes("x"))).rejects.toMatchObject(refused);
    await expect(small.publish("c", bytes("x"))).rejects.toMatchObject(refused);
    await Promise.all([few.close(), small.close()]);
    await Promise.all(waiting);
  });

  test("refuses an entry that no frame of the server's holds, also when it was asked before it was connected", async () => {
    const { url } = await serve({ maxFrameBytes: 128 * 1024 });
    const client = connectTo(url);
    const refused = { code: "ENTRY_TOO_LARGE" };
    await expect(client.publish("c", new Uint8Array(200_000))).rejects.toMatchObject(refused);
    await available(client);
    await expect(client.publish("c", new Uint8Array(200_000))).rejects.toMatchObject(refused);
    expect(ends()).toEqual([]);
  });

  test("gives up a server that speaks nonsense, and lets the process live", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.resume();
      socket.write(Buffer.concat([encodeServer({ type: "pong" }), Buffer.from([0, 0, 0, 2, 0xc1, 0xc1])]));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = address && typeof address === "object" ? address.port : 0;
    const client = connectTo(`holdfast://${TOKEN}@127.0.0.1:${port}`, { requestMs: 200 });
    await expect(client.publish("c", bytes("x"))).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
    await client.close();
    await new Promise((resolve) => server.close(resolve));
  });
});
