import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GatedBroker } from "../test/gated-broker.ts";
import { Subscriber, TestNode } from "../test/node.ts";
import { Recorder } from "../test/recorder.ts";
import type { HubEvent } from "./events.ts";
import { Hub } from "./hub.ts";

let broker: Broker;
let gate: GatedBroker;
let hub: Hub;
let events: HubEvent[];
let recorder: Recorder;

beforeEach(() => {
  broker = openEmbeddedBroker();
  gate = new GatedBroker(broker);
  events = [];
  hub = new Hub(gate, { node: "n", lingerMs: 20, maxReads: 2, onEvent: (event) => events.push(event) });
  recorder = new Recorder();
});
afterEach(async () => {
  await hub.close();
  await broker.close();
});

const bytes = (text: string) => new TextEncoder().encode(text);
const publish = (channel: string, text: string) => broker.publish(channel, bytes(text));

describe("an outlet that follows a channel", () => {
  it("is handed every entry after the position it is told, and what is volatile, until it closes", async () => {
    const first = await publish("a", "one");
    const following = hub.follow(recorder, "a");
    expect(await following.ready).toEqual(first.position);
    const second = await publish("a", "two");
    await broker.notify("a", bytes("typing"));
    expect(recorder.told).toEqual(["a 2 two", "a volatile typing"]);
    expect(following.last).toEqual(second.position);
    following.close();
    following.close();
    await publish("a", "three");
    await broker.notify("a", bytes("typing"));
    expect(recorder.told).toHaveLength(2);
    expect(hub.counters.followings).toBe(0);
  });

  it("begins at the entry handed out last where the channel was followed already, and is told of each entry once", async () => {
    const node = new TestNode(hub);
    const subscriber = new Subscriber();
    await node.join("a", subscriber).joined;
    const one = await publish("a", "one");
    const followings = [hub.follow(recorder, "a"), hub.follow(recorder, "a")];
    const other = new Recorder();
    const another = hub.follow(other, "a");
    expect(await followings[0]?.ready).toEqual(one.position);
    await publish("a", "two");
    followings[0]?.close();
    await publish("a", "three");
    followings[1]?.close();
    await publish("a", "four");
    expect(recorder.told).toEqual(["a 2 two", "a 3 three"]);
    expect(other.told).toEqual(["a 2 two", "a 3 three", "a 4 four"]);
    expect(subscriber.received).toEqual(["1 one", "2 two", "3 three", "4 four"]);
    another.close();
  });

  it("shares one subscription with the members of the channel, and keeps it for a while", async () => {
    await expect.poll(() => hub.ready).toBe(true);
    const probes = gate.subscriptions;
    const node = new TestNode(hub);
    const subscriber = new Subscriber();
    const following = hub.follow(recorder, "a");
    await Promise.all([following.ready, node.join("a", subscriber).joined]);
    expect(gate.subscriptions - probes).toBe(1);
    following.close();
    const back = hub.follow(recorder, "a");
    subscriber.drop();
    back.close();
    expect(gate.subscriptions - probes).toBe(1);
    await hub.follow(recorder, "a").ready;
    expect(gate.subscriptions - probes).toBe(1);
    hub.follow(recorder, "b").close();
    await expect.poll(() => hub.counters.channels).toBe(1);
    await expect.poll(() => gate.subscriptions - probes).toBe(1);
  });

  it("is told of resets", async () => {
    await hub.follow(recorder, "a").ready;
    await publish("a", "one");
    const { head } = await broker.history("a", { limit: 0 });
    gate.inject("a", { type: "reset", head, reason: "trimmed" });
    expect(recorder.told).toEqual(["a 1 one", "a reset trimmed 1"]);
  });

  it("is told why where the channel can't be followed, and the node's log too", async () => {
    const following = hub.follow(recorder, "not a name");
    await expect(following.ready).rejects.toMatchObject({ code: "CHANNEL_INVALID" });
    expect(events).toMatchObject([{ type: "broker-error", operation: "subscribe", channel: "not a name" }]);
    expect(hub.counters).toMatchObject({ followings: 0, channels: 0, brokerErrors: 1 });
    await hub.close();
    const late = hub.follow(recorder, "a");
    await expect(late.ready).rejects.toMatchObject({ code: "HUB_CLOSED" });
    late.close();
  });
});

it("says the greatest seq handed out so far, the entry in hand included", async () => {
  expect(hub.seq).toBe(0);
  const seen: number[] = [];
  const outlet = { deliver: () => seen.push(hub.seq), reset: () => {} };
  await Promise.all([hub.follow(outlet, "a").ready, hub.follow(outlet, "b").ready]);
  const published = [await publish("a", "one"), await publish("b", "two"), await publish("a", "three")];
  expect(seen).toEqual(published.map(({ seq }) => seq));
  expect(hub.seq).toBe(seen.at(-1));
});

describe("having handed out everything up to a seq", () => {
  const saidToItself = (after: number) =>
    expect
      .poll(async () => (await broker.history("holdfast:node:n", { limit: 0 })).seq)
      .toBeGreaterThan(after);

  it("is waited for where something is on its way, though nothing more comes on any channel", async () => {
    await hub.follow(recorder, "a").ready;
    gate.hold();
    await publish("a", "one");
    const { seq } = await publish("b", "two");
    const reached = hub.upTo(seq).then((isSo) => recorder.told.push(`reached: ${isSo}`));
    await saidToItself(seq);
    expect(recorder.told).toEqual([]);
    gate.release();
    await reached;
    expect(recorder.told).toEqual(["a 1 one", "reached: true"]);
    expect(hub.seq).toBeGreaterThan(seq);
  });

  it("costs nothing where that is so already", async () => {
    await hub.follow(recorder, "a").ready;
    const { seq } = await publish("a", "one");
    const before = gate.subscribed;
    expect(await hub.upTo(seq)).toBe(true);
    expect(gate.subscribed).toBe(before);
  });

  it("is not so where the log is not the one of that seq any more, nor once the hub is closed", async () => {
    await hub.follow(recorder, "a").ready;
    const { seq } = await publish("a", "one");
    gate.hold();
    const lost = hub.upTo(seq + 1000);
    await saidToItself(seq);
    gate.release();
    expect(await lost).toBe(false);
    gate.hold();
    const closing = hub.upTo(seq + 1000);
    await saidToItself(hub.seq);
    await hub.close();
    await expect(closing).rejects.toMatchObject({ code: "HUB_CLOSED" });
  });
});

describe("a read of the log", () => {
  it("is shared with equal ones of the same turn, and shows all that was accepted before it was asked for", async () => {
    await publish("a", "one");
    const pages = await Promise.all(
      Array.from({ length: 20 }, () => hub.read("a", { backwards: true, limit: 5 })),
    );
    for (const page of pages) expect(page).toMatchObject({ type: "page", head: { offset: 1 } });
    expect(hub.counters).toMatchObject({ reads: 1, sharedReads: 19 });

    const { promise, resolve } = Promise.withResolvers<void>();
    const answered = broker.history.bind(broker);
    broker.history = async (channel, query) => {
      const history = await answered(channel, query);
      await promise;
      return history;
    };
    const early = hub.read("a", { backwards: true, limit: 5 });
    await expect.poll(() => hub.counters.reads).toBe(2);
    await publish("a", "two");
    const late = hub.read("a", { backwards: true, limit: 5 });
    const waiting = [hub.read("b", {}), hub.read("b", {})];
    await expect.poll(() => hub.counters.reads).toBe(3);
    resolve();
    expect((await early).head.offset).toBe(1);
    expect((await late).head.offset).toBe(2);
    await Promise.all(waiting);
    expect(hub.counters).toMatchObject({ reads: 4, sharedReads: 20 });
  });
});
