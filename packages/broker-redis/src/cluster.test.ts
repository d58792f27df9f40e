import type { Broker } from "@holdfast/broker";
import { expect, test, vi } from "vitest";
import { keeper } from "../../broker/test/keeper.ts";
import { Followed, numbers, publishSurely } from "../test/followed.ts";
import { RedisCluster } from "../test/redis-cluster.ts";
import { slotOf } from "./hash-slot.ts";
import { connectRedisBroker } from "./mod.ts";
import { Partitions } from "./partitions.ts";

const QUICK = { minBackOffMs: 10, maxBackOffMs: 200, heartbeatMs: 100, deadAfterMs: 600, requestMs: 10_000 };
const WAIT = { timeout: 20_000, interval: 20 };
const CHANNELS = Array.from({ length: 12 }, (_, n) => `room-${n}`);

const keep = keeper();

function connect(url: string): Broker {
  const broker = connectRedisBroker(url, QUICK);
  return keep(broker, () => broker.close());
}

async function start(replicas: 0 | 1 = 0): Promise<RedisCluster> {
  const cluster = await RedisCluster.start(replicas);
  return keep(cluster, () => cluster[Symbol.asyncDispose]());
}

test("a slot that moves to another server takes its channel's subscribers along, and nothing is missing", async () => {
  const cluster = await start();
  const [a, b] = [connect(cluster.url), connect(cluster.url)];
  const seen = await Promise.all(CHANNELS.map((channel) => Followed.on(b, channel)));
  const publish = async (content: string) => {
    await Promise.all(CHANNELS.map((channel) => publishSurely(a, channel, content)));
  };
  for (const content of numbers(1, 10)) await publish(content);
  const [channel = ""] = CHANNELS;
  const partitions = new Partitions("holdfast", 128);
  const moving = cluster.moveSlot(slotOf(partitions.keyOf(partitions.of(channel))));
  for (const content of numbers(11, 40)) await publish(content);
  await moving;
  for (const content of numbers(41, 50)) await publish(content);
  for (const one of seen) {
    await vi.waitFor(() => expect(one.contents).toEqual(numbers(1, 50)), WAIT);
    expect(one.resets).toEqual([]);
  }
}, 60_000);

test("a key whose record has moved ahead of its channel is not taken for a new one", async () => {
  const cluster = await start();
  const broker = connect(cluster.url);
  const data = new TextEncoder().encode("once");
  const [channel = ""] = CHANNELS;
  const options = { idempotencyKey: "key" };
  const first = await broker.publish(channel, data, options);
  const partitions = new Partitions("holdfast", 128);
  const move = cluster.beginMove(slotOf(partitions.keyOf(partitions.of(channel))));
  expect(move.take((key) => key.includes("}i "))).toHaveLength(1);
  const again = broker.publish(channel, data, options);
  // Publications of one turn of the event loop wait together.
  await new Promise((resolve) => setImmediate(resolve));
  const alone = await broker.publish(channel, data);
  move.end();
  expect(await again).toEqual({ ...first, duplicate: true });
  expect(alone).toMatchObject({ position: { offset: 2 }, duplicate: false });
  expect((await broker.history(channel, {})).head.offset).toBe(2);
}, 60_000);

test("a lease is nobody else's while its records are in two places", async () => {
  const cluster = await start();
  const [a, b] = [connect(cluster.url), connect(cluster.url)];
  const lease = { group: "group", key: "key", value: new Uint8Array(), ttlMs: 60_000, lingerMs: 0 };
  const absent = { type: "expect", version: 0 } as const;
  await a.leases.put({ ...lease, owner: "a", when: absent });
  const move = cluster.beginMove(slotOf(new Partitions("holdfast", 128).keyOf(0)));
  // First what says that its owner lives, and what the lease is in; the rest stays.
  expect(move.take((key) => /}l[go] /.test(key)).length).toBeGreaterThan(1);
  const taking = b.leases.put({ ...lease, owner: "b", when: absent });
  const listing = b.leases.list("group");
  move.end();
  expect(await taking).toMatchObject({ type: "refused", lease: { owner: "a" } });
  expect(await listing).toMatchObject([{ key: "key", owner: "a" }]);
}, 60_000);

test("a server that is killed is followed by its replica, and no accepted entry is lost in silence", async () => {
  const cluster = await start(1);
  const [a, b] = [connect(cluster.url), connect(cluster.url)];
  const seen = await Promise.all(CHANNELS.map((channel) => Followed.on(b, channel)));
  const publish = async (content: string) => {
    await Promise.all(CHANNELS.map((channel) => publishSurely(a, channel, content)));
  };
  for (const content of numbers(1, 10)) await publish(content);
  await cluster.killPrimary();
  for (const content of numbers(11, 20)) await publish(content);
  await publish("end");
  for (const one of seen) {
    await vi.waitFor(() => expect(one.contents.at(-1)).toBe("end"), WAIT);
    expect(new Set(one.contents).size).toBe(one.contents.length);
    if (one.resets.length === 0) expect(one.contents).toEqual([...numbers(1, 20), "end"]);
  }
}, 60_000);
