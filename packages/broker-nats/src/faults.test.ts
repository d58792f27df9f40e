import { cp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Broker, Position } from "@holdfast/broker";
import { orderCheck } from "@holdfast/broker/contract";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FaultProxy } from "../../broker/test/fault-proxy.ts";
import { available, bytes, logOf, record, textOf, WAIT } from "../../broker/test/feed.ts";
import { NatsServer } from "../test/nats-server.ts";
import { type NatsBrokerEvent, type NatsBrokerOptions, openNatsBroker } from "./mod.ts";
import { decodeRecord, encodeRecord } from "./record.ts";
import { Subjects } from "./subjects.ts";

const QUICK = { heartbeatMs: 100, tryMs: 500, requestMs: 5000, backOffMs: 20, auditMs: 50, partitions: 2 };

const PARTITION_OF_ROOM = new Subjects("holdfast", QUICK.partitions).partitionOf("room");

describe("on a server that breaks", () => {
  let server: NatsServer;
  let events: NatsBrokerEvent[];
  const open: Broker[] = [];

  beforeEach(async () => {
    events = [];
    server = await NatsServer.start();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((broker) => broker.close()));
    await server.close();
  });

  function node(options: NatsBrokerOptions = {}): Broker {
    const broker = openNatsBroker(server.url, {
      ...QUICK,
      onEvent: (event) => events.push(event),
      ...options,
    });
    open.push(broker);
    return broker;
  }

  async function manage<T>(work: (streams: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>) {
    const nats = await connect({ servers: server.url });
    try {
      return await work(await jetstreamManager(nats));
    } finally {
      await nats.close();
    }
  }

  test("keeps logs, epochs, keys and leases when the server is killed, and misses nothing", async () => {
    const [a, b] = [node(), node()];
    const seen = record();
    await b.subscribe("room", seen.listener);
    const first = await a.publish("room", bytes("1"), { idempotencyKey: "key" });
    const when = { type: "own", version: 0 } as const;
    const lease = { owner: "me", ttlMs: 60_000, group: "g", key: "k", value: bytes("x"), lingerMs: 0, when };
    await a.leases.put(lease);
    await server.restart();
    expect(await b.publish("room", bytes("again"), { idempotencyKey: "key" })).toEqual({
      ...first,
      duplicate: true,
    });
    const next = await b.publish("room", bytes("2"));
    expect(next.position).toMatchObject({ epoch: first.position.epoch, offset: 2 });
    await vi.waitFor(() => expect(seen.texts()).toEqual(["1", "2"]), WAIT);
    expect(seen.resets()).toEqual([]);
    expect((await b.leases.list("g")).map(({ owner }) => owner)).toEqual(["me"]);
  });

  test.each([1, 4])(
    "says which entries may come later than those of other channels, with %i streams",
    async (partitions) => {
      const proxy = await FaultProxy.open(server.port);
      const options = { ...QUICK, partitions };
      const [a, b] = [
        openNatsBroker(`nats://127.0.0.1:${proxy.port}`, options),
        openNatsBroker(server.url, options),
      ];
      await Promise.all([available(a), available(b)]);
      await orderCheck(a, b, "room", () => proxy.cut());
      await Promise.all([a.close(), b.close()]);
      await proxy.close();
    },
  );

  test.each([1, 4])(
    "takes a channel that was read for abreast once what the one stream has before that was told of, with %i streams",
    async (partitions) => {
      const proxy = await FaultProxy.open(server.port);
      const [a, b] = [
        openNatsBroker(`nats://127.0.0.1:${proxy.port}`, { ...QUICK, partitions }),
        node({ partitions }),
      ];
      open.push(a);
      await available(a);
      const told: string[] = [];
      await a.subscribe("room", (event) =>
        told.push(event.type === "entry" ? textOf(event.entry) : event.type),
      );
      const watcher = await connect({ servers: server.url });
      watcher.subscribe("holdfast.live.>", {
        callback: (_error, { subject }) => void (subject.includes("holdfast:fence:") && told.push("token")),
      });
      await watcher.flush();
      proxy.refuse();
      proxy.cut();
      await vi.waitFor(() => expect(told).toContain("behind"), WAIT);
      await b.publish("room", bytes("missed"));
      proxy.accept();
      await vi.waitFor(() => expect(told).toContain("abreast"), WAIT);
      const after = partitions === 1 ? ["token", "abreast"] : ["abreast"];
      await vi.waitFor(() => expect([...told].sort()).toEqual([...told.slice(0, 3), ...after].sort()), WAIT);
      expect(told.slice(0, 3)).toEqual(["subscribed", "behind", "missed"]);
      await vi.waitFor(async () => {
        const subjects = await manage(async ({ streams }) => {
          const info = await streams.info("holdfast-log-0", { subjects_filter: "holdfast.log.>" });
          return Object.keys(info.state.subjects ?? {});
        });
        expect(subjects.filter((subject) => subject.includes("holdfast:fence:"))).toEqual([]);
      }, WAIT);
      await watcher.close();
      await a.close();
      await proxy.close();
    },
  );

  test("tells subscribers that the log was lost, with another epoch", async () => {
    const a = node();
    const seen = record();
    await a.subscribe("room", seen.listener);
    const { position } = await a.publish("room", bytes("1"));
    await vi.waitFor(() => expect(seen.texts()).toEqual(["1"]), WAIT);
    await server.kill();
    await rm(server.folder, { recursive: true });
    await server.restart();
    await vi.waitFor(() => expect(seen.resets()).toEqual(["epoch"]), WAIT);
    const next = await a.publish("room", bytes("new"));
    expect(next.position.epoch).not.toBe(position.epoch);
    await vi.waitFor(() => expect(seen.texts()).toEqual(["1", "new"]), WAIT);
    const late = record();
    await a.subscribe("room", late.listener, { since: position });
    expect(late.resets()).toEqual(["epoch"]);
  });

  test("tells subscribers that the log was rolled back, whatever was written since", async () => {
    const a = node();
    await a.publish("room", bytes("1"));
    await a.publish("still", bytes("1"));
    await server.kill("SIGTERM");
    await cp(server.folder, `${server.folder}-old`, { recursive: true });
    await server.restart();
    const [seen, still] = [record(), record()];
    await available(a);
    await a.subscribe("room", seen.listener);
    await a.subscribe("still", still.listener);
    const lost = await a.publish("room", bytes("2"));
    await a.publish("room", bytes("3"));
    await vi.waitFor(() => expect(seen.texts()).toEqual(["2", "3"]), WAIT);
    await a.close();
    await server.kill();
    await rm(server.folder, { recursive: true });
    await cp(`${server.folder}-old`, server.folder, { recursive: true });
    await rm(`${server.folder}-old`, { recursive: true });
    await server.restart();
    const b = node();
    const ahead = record();
    await b.subscribe("room", ahead.listener, { since: lost.position });
    expect(ahead.resets()).toEqual(["ahead"]);
    await b.publish("room", bytes("another 2"));
    const other = record();
    await b.subscribe("room", other.listener, { since: lost.position });
    expect(other.resets()).toEqual(["tag"]);
    expect((await logOf(b, "room")).map(textOf)).toEqual(["1", "another 2"]);
  });

  test("finds what was stored and not told of, although nothing comes after it", async () => {
    const users = `{user: "deaf", password: "x", permissions: {subscribe: {deny: "holdfast.live.>"}}}, {user: "all", password: "x"}`;
    const config = join(server.folder, "users.conf");
    await writeFile(config, `authorization {users: [${users}]}`);
    const guarded = await NatsServer.start(["-c", config]);
    try {
      const [a, b] = ["all", "deaf"].map((user) => {
        const url = guarded.url.replace("//", `//${user}:x@`);
        const broker = openNatsBroker(url, { ...QUICK, onEvent: (event) => events.push(event) });
        open.push(broker);
        return broker;
      }) as [Broker, Broker];
      const seen = record();
      await b.subscribe("room", seen.listener);
      await a.publish("room", bytes("1"));
      await a.publish("room", bytes("2"));
      await vi.waitFor(() => expect(seen.texts()).toEqual(["1", "2"]), WAIT);
      expect(events).toContainEqual({ type: "repaired", channel: "room" });
      expect(seen.resets()).toEqual([]);
    } finally {
      await guarded.close();
    }
  });

  test("has a stream made again that was deleted while it was in use", async () => {
    const a = node();
    const seen = record();
    await a.subscribe("room", seen.listener);
    await a.publish("room", bytes("1"));
    await manage(async ({ streams }) => {
      for (const partition of [0, 1]) await streams.delete(`holdfast-log-${partition}`);
    });
    await a.publish("room", bytes("2"));
    await vi.waitFor(() => expect(seen.resets()).toEqual(["epoch"]), WAIT);
    await a.publish("room", bytes("3"));
    await vi.waitFor(() => expect(seen.texts().at(-1)).toBe("3"), WAIT);
    // What was written before the reset's head is in the log, and told of by the reset alone.
    const heads = seen.events.flatMap((event) => (event.type === "reset" ? [event.head.offset] : []));
    const log = await logOf(a, "room");
    expect(log.map(textOf)).toEqual(["2", "3"]);
    const after = log.filter(({ offset }) => offset > (heads[0] ?? 0)).map(textOf);
    expect(seen.texts()).toEqual(["1", ...after]);
    expect(seen.resets()).toEqual(["epoch"]);
  });

  test("has the leases when what gives them to it is gone, as with another server than its own", async () => {
    const [a, b] = [node(), node()];
    const put = (key: string) => {
      const when = { type: "own", version: 0 } as const;
      return a.leases.put({
        owner: "me",
        ttlMs: 60_000,
        group: "g",
        key,
        value: bytes(key),
        lingerMs: 0,
        when,
      });
    };
    const keys = async () => (await b.leases.list("g")).map(({ key }) => key);
    await put("1");
    expect(await keys()).toEqual(["1"]);
    await manage(async ({ consumers }) => {
      for await (const { stream_name, name } of consumers.list("holdfast-leases"))
        await consumers.delete(stream_name, name);
    });
    await put("2");
    expect(await keys()).toEqual(["1", "2"]);
  });

  test("writes into no log that was begun anew as if it were the one before", async () => {
    const [a, b] = [node(), node()];
    const seen = record();
    await a.publish("room", bytes("1"));
    await a.subscribe("room", seen.listener);
    await manage(async ({ streams }) => {
      for (const partition of [0, 1]) await streams.delete(`holdfast-log-${partition}`);
    });
    // Its record is where the other's was.
    const first = await b.publish("room", bytes("another 1"));
    await vi.waitFor(() => expect(seen.resets()).toEqual(["epoch"]), WAIT);
    const second = await a.publish("room", bytes("2"));
    expect(second.position).toMatchObject({ epoch: first.position.epoch, offset: 2 });
    expect((await logOf(b, "room")).map(textOf)).toEqual(["another 1", "2"]);
  });

  test("begins a log anew at once whose stream was purged, although the server still knows its message ids", async () => {
    const a = node();
    const seen = record();
    await a.subscribe("room", seen.listener);
    for (const text of ["1", "2"]) await a.publish("room", bytes(text), { idempotencyKey: text });
    await vi.waitFor(() => expect(seen.texts()).toEqual(["1", "2"]), WAIT);
    const purge = () =>
      manage(async ({ streams }) => {
        for (const partition of [0, 1])
          for (const kind of ["log", "keys"]) await streams.purge(`holdfast-${kind}-${partition}`);
      });
    for (const round of [1, 2]) {
      await purge();
      const again = await a.publish("room", bytes("again"), { idempotencyKey: "1" });
      expect(again).toMatchObject({ duplicate: false, position: { offset: 1 } });
      await vi.waitFor(() => expect(seen.resets()).toHaveLength(round), WAIT);
      expect((await logOf(a, "room")).map(textOf)).toEqual(["again"]);
      expect(await a.publish("room", bytes("x"), { idempotencyKey: "1" })).toMatchObject({ duplicate: true });
    }
    await purge();
    expect(await a.history("room", {})).toMatchObject({ type: "page", entries: [], head: { offset: 0 } });
  });

  test("goes on from one of two records that a leader took behind the same one, and shows it alone", async () => {
    const a = node();
    const seen = record();
    const at: Position[] = [];
    for (const text of ["1", "2"]) at.push((await a.publish("room", bytes(text))).position);
    await a.subscribe("room", seen.listener, { since: at[0] as Position });
    await vi.waitFor(() => expect(seen.texts()).toEqual(["2"]), WAIT);
    const nats = await connect({ servers: server.url });
    const [stream, subject] = [`holdfast-log-${PARTITION_OF_ROOM}`, `holdfast.log.${PARTITION_OF_ROOM}.room`];
    const { streams } = await jetstreamManager(nats);
    const newest = await streams.getMessage(stream, { last_by_subj: subject });
    const passedOver = newest && decodeRecord(newest.data, newest.seq);
    if (!passedOver) throw new Error("The log has no record.");
    const entries = [{ salt: "BBBB", data: bytes("the other 2") }];
    await jetstream(nats).publish(subject, encodeRecord({ ...passedOver, id: "another", entries }));
    await nats.close();

    // Who had the one that was passed over is told.
    await vi.waitFor(() => expect(seen.resets()).toEqual(["tag"]), WAIT);
    const b = node();
    for (let n = 3; n <= 9; n++) {
      expect((await b.publish("room", bytes(`${n}`))).position.offset).toBe(n);
      const log = ["1", "the other 2", ...Array.from({ length: n - 2 }, (_, more) => `${more + 3}`)];
      expect((await logOf(b, "room")).map(textOf)).toEqual(log);
      const after = await b.history("room", { since: at[0] as Position });
      expect(after.type === "page" && after.entries.map(textOf)).toEqual(log.slice(1));
      expect(await b.history("room", { since: at[1] as Position })).toMatchObject({ reason: "tag" });
      const back = await b.history("room", { backwards: true });
      expect(back.type === "page" && back.entries.map(textOf)).toEqual(log.toReversed());
    }
    await vi.waitFor(() => expect(seen.texts().at(-1)).toBe("9"), WAIT);
    expect(seen.resets()).toEqual(["tag"]);
  });

  test("knows an entry again whose place another server of a cluster counted differently", async () => {
    const a = node();
    const at: Position[] = [];
    for (let n = 1; n <= 9; n++) at.push((await a.publish("room", bytes(`${n}`))).position);
    for (const [index, position] of at.entries()) {
      const place = Number.parseInt(position.tag.slice(4), 36);
      for (const other of [Math.max(1, place - 1), place + 1]) {
        const since = { ...position, tag: `${position.tag.slice(0, 4)}${other.toString(36)}` };
        const after = await a.history("room", { since });
        const texts = after.type === "page" ? after.entries.map(textOf) : after.reason;
        expect(texts).toEqual(Array.from({ length: 8 - index }, (_, n) => `${index + n + 2}`));
      }
    }
    const [first] = at as [Position];
    const seen = record();
    await a.subscribe("room", seen.listener, { since: { ...first, tag: `${first.tag.slice(0, 4)}zz` } });
    await vi.waitFor(() => expect(seen.texts().at(-1)).toBe("9"), WAIT);
    expect(seen.texts()).toEqual(["2", "3", "4", "5", "6", "7", "8", "9"]);
  });

  test("refuses positions whose entries were deleted, and shows what is left", async () => {
    const a = node();
    const at = [];
    for (let n = 1; n <= 20; n++) at.push((await a.publish("room", bytes(`${n}`))).position);
    await manage(async ({ streams }) => {
      for (const partition of [0, 1])
        await streams.purge(`holdfast-log-${partition}`, {
          filter: `holdfast.log.${partition}.room`,
          keep: 5,
        });
    });
    const refused = { type: "unrecoverable", reason: "trimmed" };
    for (const offset of [1, 10, 15])
      expect(await a.history("room", { since: at[offset - 1] as Position })).toMatchObject(refused);
    expect(await a.history("room", { since: { ...(at[0] as Position), offset: 0, tag: "" } })).toMatchObject(
      refused,
    );
    const since = at[15] as Position;
    const history = await a.history("room", { since });
    expect(history.type === "page" && history.entries.map(textOf)).toEqual(["17", "18", "19", "20"]);
    expect((await logOf(a, "room")).map(textOf)).toEqual(["16", "17", "18", "19", "20"]);
    const back = await a.history("room", { backwards: true });
    expect(back.type === "page" && back.entries.map(textOf)).toEqual(["20", "19", "18", "17", "16"]);
    expect(await a.history("room", { since: { ...since, tag: "AAAA1" } })).toMatchObject({ reason: "tag" });
  });

  test("reads a long log with one request for its records, however little time is left", async () => {
    const a = node();
    for (let n = 1; n <= 20; n++) await a.publish("room", bytes(`${n}`));
    const nats = await connect({ servers: server.url });
    const consumers = nats.subscribe("$JS.API.CONSUMER.CREATE.>");
    await nats.flush();
    const reads = 10;
    for (let n = 0; n < reads; n++)
      expect(await a.history("room", {})).toMatchObject({ head: { offset: 20 }, type: "page" });
    await nats.flush();
    expect(consumers.getReceived()).toBe(reads);
    await nats.close();
  });

  test("refuses to work on streams that were made for another number of partitions", async () => {
    await available(node());
    const other = node({ partitions: 3, requestMs: 300 });
    const refused = { code: "BROKER_UNAVAILABLE", message: expect.stringContaining("partition 1 of 2") };
    // Until its connection is there, that is the reason.
    await vi.waitFor(() => expect(other.publish("room", bytes("1"))).rejects.toMatchObject(refused), WAIT);
    await expect(other.publish("room", bytes("2"))).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
    expect((await logOf(node(), "room")).map(textOf)).toEqual([]);
  });

  test("says what the server keeps, and how safely", async () => {
    await available(node());
    expect(events[0]).toMatchObject({ type: "connected", storage: "file", replicas: 1 });
    expect(events[0]?.type === "connected" && events[0].durability).toMatch(/sync_interval/);
  });

  test("refuses with BROKER_FULL when a stream has no room, and takes entries again when there is some", async () => {
    const a = node({ maxStreamBytes: 100_000, partitions: 1 });
    const large = new Uint8Array(40_000);
    await a.publish("room", large);
    await a.publish("room", large);
    await expect(a.publish("room", large)).rejects.toMatchObject({ code: "BROKER_FULL", retryable: true });
    await manage(({ streams }) => streams.update("holdfast-log-0", { max_bytes: 1_000_000 }));
    const { position } = await a.publish("room", large);
    expect(position.offset).toBe(3);
  });
});
