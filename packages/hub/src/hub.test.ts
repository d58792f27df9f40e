import { type Broker, openEmbeddedBroker, type Position } from "@holdfast/broker";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GatedBroker } from "../test/gated-broker.ts";
import { Subscriber, TestNode } from "../test/node.ts";
import type { HubEvent } from "./events.ts";
import { Hub } from "./hub.ts";

let broker: Broker;
let gate: GatedBroker;
let hub: Hub;
let node: TestNode;
let events: HubEvent[];

beforeEach(() => {
  broker = openEmbeddedBroker();
  gate = new GatedBroker(broker);
  events = [];
  hub = new Hub(gate, {
    node: "n 1",
    pageSize: 3,
    lingerMs: 20,
    probeIntervalMs: 20,
    probeTimeoutMs: 60,
    onEvent: (event) => events.push(event),
  });
  node = new TestNode(hub);
});
afterEach(async () => {
  await hub.close();
  await broker.close();
});

const text = (n: number) => new TextEncoder().encode(`m${n}`);
const expected = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => `${from + n} m${from + n}`);

async function publish(from: number, to: number, retention?: { maxEntries: number; maxAgeMs: number }) {
  const positions: Position[] = [];
  for (let n = from; n <= to; n++) {
    const { position } = await broker.publish("c", text(n), retention === undefined ? {} : { retention });
    positions.push(position);
  }
  return positions;
}

async function join(cursor?: Position): Promise<Subscriber> {
  const subscriber = new Subscriber();
  await node.join("c", subscriber, cursor).joined;
  return subscriber;
}

it("joins at the head without a cursor, and hands over what follows", async () => {
  await publish(1, 4);
  const subscriber = await join();
  expect(subscriber.start).toMatchObject({ recovered: false, position: { offset: 4 }, head: 4 });
  await publish(5, 6);
  await expect.poll(() => subscriber.received).toEqual(expected(5, 6));
  expect(subscriber.faults).toEqual([]);
});

it("gives a resuming subscriber every missed entry, then the live ones", async () => {
  const [first] = await publish(1, 10);
  const subscriber = await join(first);
  expect(subscriber.start).toEqual({ recovered: true, position: first, head: 10 });
  await publish(11, 12);
  await expect.poll(() => subscriber.received).toEqual(expected(2, 12));
  expect(subscriber.told).toEqual(["recovered", "live"]);
});

it("leaves to the live feed what a page holds past the entry delivered last", async () => {
  await join();
  const [first] = await publish(1, 2);
  await expect.poll(() => hub.counters.entries).toBe(2);
  gate.hold();
  await publish(3, 4);
  const subscriber = await join(first);
  expect(subscriber.received).toEqual(expected(2, 2));
  gate.release();
  expect(subscriber.received).toEqual(expected(2, 4));
  expect(subscriber.faults).toEqual([]);
});

it("waits for the node to come up to a client that has seen more on another", async () => {
  const other = await join();
  gate.hold();
  const positions = await publish(1, 5);
  const subscriber = new Subscriber();
  const { joined } = node.join("c", subscriber, positions[2]);
  await expect.poll(() => subscriber.told).toEqual(["recovered"]);
  gate.release();
  await joined;
  await expect.poll(() => subscriber.received).toEqual(expected(4, 5));
  expect(other.received).toEqual(expected(1, 5));
  expect(subscriber.faults).toEqual([]);
});

it("shares one read among all that come from one position", async () => {
  const [first] = await publish(1, 3);
  const subscribers = Array.from({ length: 50 }, () => new Subscriber());
  await Promise.all(subscribers.map((subscriber) => node.join("c", subscriber, first).joined));
  for (const subscriber of subscribers) expect(subscriber.received).toEqual(expected(2, 3));
  expect(hub.counters).toMatchObject({ reads: 1, sharedReads: 49, recovered: 50 });
});

describe("refuses a cursor, and goes on from the head,", () => {
  it.each<[string, (position: Position) => Position]>([
    ["of another epoch", (position) => ({ ...position, epoch: "other" })],
    ["whose tag is another entry's", (position) => ({ ...position, tag: "other" })],
    ["past the head", (position) => ({ ...position, offset: 900 })],
  ])("%s", async (_title, change) => {
    const [first] = await publish(1, 3);
    const subscriber = await join(first && change(first));
    expect(subscriber.start).toMatchObject({ recovered: false, position: { offset: 3 } });
    await publish(4, 4);
    await expect.poll(() => subscriber.received).toEqual(expected(4, 4));
    expect(hub.counters.refused).toBe(1);
  });

  it("from which the log was trimmed", async () => {
    const [first] = await publish(1, 10, { maxEntries: 3, maxAgeMs: 60_000 });
    const subscriber = await join(first);
    expect(subscriber.start).toMatchObject({ recovered: false, position: { offset: 10 } });
    expect(subscriber.received).toEqual([]);
  });
});

it("tells a subscriber that is catching up when the log is trimmed beneath it: never a part as though it were all", async () => {
  const [first] = await publish(1, 10);
  const subscriber = new Subscriber();
  const { promise, resolve } = Promise.withResolvers<void>();
  subscriber.pressure = () => promise;
  const { joined } = node.join("c", subscriber, first);
  await expect.poll(() => subscriber.received).toEqual(expected(2, 4));
  await publish(11, 12, { maxEntries: 2, maxAgeMs: 60_000 });
  await expect.poll(() => hub.counters.entries).toBe(2);
  resolve();
  await joined;
  expect(subscriber.told).toEqual(["recovered", "reset trimmed", "live"]);
  await publish(13, 13);
  await expect.poll(() => subscriber.received).toEqual([...expected(2, 4), ...expected(13, 13)]);
  expect(subscriber.faults).toEqual([]);
});

it("passes a reset on to everybody live, and lets one that is catching up continue where the log allows it", async () => {
  const live = await join();
  const [first] = await publish(1, 6);
  await expect.poll(() => live.received.length).toBe(6);
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = new Subscriber();
  gate.beforeHistory = () => promise;
  const { joined } = node.join("c", late, first);
  const page = await broker.history("c", { limit: 0 });
  gate.inject("c", { type: "reset", head: page.head, reason: "trimmed" });
  expect(live.told).toEqual(["not recovered", "live", "reset trimmed"]);
  resolve();
  await joined;
  expect(late.told).toEqual(["recovered", "live"]);
  await publish(7, 7);
  await expect.poll(() => late.received).toEqual(expected(2, 7));
  expect([...live.faults, ...late.faults]).toEqual([]);
  expect(events).toContainEqual({ type: "reset", channel: "c", reason: "trimmed" });
});

it("does not share a read that was begun before a reset", async () => {
  await join();
  const [first] = await publish(1, 6);
  await expect.poll(() => hub.counters.entries).toBe(6);
  const { promise, resolve } = Promise.withResolvers<void>();
  gate.beforeHistory = () => promise;
  const early = node.join("c", new Subscriber(), first);
  await expect.poll(() => hub.counters.reads).toBe(1);
  const { head } = await broker.history("c", { limit: 0 });
  gate.inject("c", { type: "reset", head, reason: "trimmed" });
  const late = node.join("c", new Subscriber(), first);
  await expect.poll(() => hub.counters.reads).toBe(2);
  resolve();
  await Promise.all([early.joined, late.joined]);
});

it("tells a subscriber nothing after it left, wherever it was", async () => {
  const [first] = await publish(1, 10);
  const { promise, resolve } = Promise.withResolvers<void>();
  gate.beforeHistory = () => promise;
  const reading = new Subscriber();
  const early = node.join("c", reading, first);
  const following = new Subscriber();
  const second = node.join("d", following);
  second.leave();
  early.leave();
  resolve();
  await Promise.all([early.joined, second.joined]);
  gate.beforeHistory = undefined;

  const slow = new Subscriber();
  const drained = Promise.withResolvers<void>();
  slow.pressure = () => drained.promise;
  const third = node.join("c", slow, first);
  await expect.poll(() => slow.received.length).toBe(3);
  third.leave();
  third.leave();
  drained.resolve();
  await third.joined;
  await publish(11, 11);
  expect([reading.told, following.told, slow.told]).toEqual([[], [], ["recovered"]]);
  expect(slow.received).toEqual(expected(2, 4));
});

it("follows a channel once for all its subscribers, and no longer a while after the last", async () => {
  await expect.poll(() => hub.ready).toBe(true);
  const probes = gate.subscriptions;
  const subscribers = await Promise.all([join(), join(), join()]);
  expect(gate.subscriptions - probes).toBe(1);
  for (const subscriber of subscribers) subscriber.drop();
  const back = await join();
  expect(gate.subscriptions - probes).toBe(1);
  back.drop();
  await expect.poll(() => gate.subscriptions - probes).toBe(0);
  expect(hub.counters).toMatchObject({ channels: 0, members: 0 });
  await publish(1, 1);
  expect((await join()).start?.position.offset).toBe(1);
});

it("rejects with the broker's code, and follows anew at the next try", async () => {
  const [first] = await publish(1, 3);
  let failing = true;
  gate.beforeHistory = async () => {
    if (failing) throw Object.assign(new Error("away"), { code: "BROKER_UNAVAILABLE" });
  };
  await expect(node.join("c", new Subscriber(), first).joined).rejects.toMatchObject({
    code: "BROKER_UNAVAILABLE",
  });
  expect(hub.counters).toMatchObject({ brokerErrors: 1, members: 0 });
  failing = false;
  expect((await join(first)).received).toEqual(expected(2, 3));
  await expect(node.join("not a name", new Subscriber()).joined).rejects.toMatchObject({
    code: "CHANNEL_INVALID",
  });
  await hub.close();
  await expect(node.join("c", new Subscriber()).joined).rejects.toMatchObject({ code: "HUB_CLOSED" });
});

it("closes at once while the broker does not answer, and leaves what that still begins to follow", async () => {
  await expect.poll(() => hub.ready).toBe(true);
  const before = { all: gate.subscribed, open: gate.subscriptions };
  const answer = Promise.withResolvers<void>();
  gate.beforeSubscribe = () => answer.promise;
  const waiting = new Hub(gate, { node: "waiting" });
  new TestNode(waiting).join("other", new Subscriber());
  await waiting.close();
  answer.resolve();
  // Its own and the subscriber's.
  await expect.poll(() => gate.subscribed - before.all).toBe(2);
  await expect.poll(() => gate.subscriptions - before.open).toBe(0);
});

it("is ready only while a message to itself comes back", async () => {
  await hub.close();
  events = [];
  hub = new Hub(gate, {
    node: "n 2",
    probeIntervalMs: 20,
    probeTimeoutMs: 1_000,
    onEvent: (event) => events.push(event),
  });
  await expect.poll(() => hub.ready).toBe(true);
  gate.hold();
  await expect.poll(() => hub.ready, { timeout: 5_000 }).toBe(false);
  gate.release();
  await expect.poll(() => hub.ready).toBe(true);
  const changes = events.map((event) => event.type).filter((type) => type !== "broker-error");
  expect(changes).toEqual(["ready", "unready", "ready"]);
});

it.each([
  [{ node: "" }, "node is empty"],
  [{ node: "n", pageSize: 0 }, "pageSize must be a whole number from 1 to 1000"],
  [{ node: "n", pages: 1 }, "pages"],
])("refuses the options %j", (options, message) => {
  expect(() => new Hub(broker, options)).toThrow(message);
});
