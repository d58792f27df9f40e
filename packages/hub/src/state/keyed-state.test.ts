import {
  type Broker,
  connectBroker,
  openEmbeddedBroker,
  type ServedBroker,
  serveBroker,
} from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { beforeEach, expect, it } from "vitest";
import { FaultProxy } from "../../../broker/test/fault-proxy.ts";
import { keeper } from "../../../broker/test/keeper.ts";
import { KeyedState, type KeyedStateOptions } from "./keyed-state.ts";
import type { StateEvent } from "./state-events.ts";

let broker: Broker;
let served: ServedBroker;
const keep = keeper();

beforeEach(async () => {
  broker = openEmbeddedBroker();
  keep(broker, () => broker.close());
  served = await serveBroker(broker, { token: "one-token-for-both" });
  keep(served, () => served.close());
});

async function open(options: KeyedStateOptions = {}, at: Broker = broker) {
  const events: StateEvent[] = [];
  const state = await KeyedState.open(at, "room", { ...options, onEvent: (event) => events.push(event) });
  keep(state, () => state.close());
  return { state, events, pairs: () => Object.fromEntries(state.pairs) };
}

const LOG = "holdfast:state:room";
const logLength = async () => (await broker.history(LOG, { limit: 0 })).head.offset;

it("gives all that holds, and then every change, to each node in one order", async () => {
  const a = await open();
  await a.state.set("colour", "red");
  await a.state.set("size", { w: 1 });
  await a.state.set("colour", "blue");
  await a.state.delete("size");
  await a.state.delete("nothing");
  const b = await open();
  expect(b.events).toEqual([{ type: "snapshot", pairs: new Map([["colour", "blue"]]), complete: true }]);
  await b.state.set("size", null);
  await a.state.delete("colour");
  await expect.poll(b.pairs).toEqual({ size: null });
  await expect.poll(a.pairs).toEqual({ size: null });
  expect(a.events.slice(1)).toEqual([
    { type: "set", key: "colour", value: "red" },
    { type: "set", key: "size", value: { w: 1 } },
    { type: "set", key: "colour", value: "blue" },
    { type: "deleted", key: "size" },
    { type: "set", key: "size", value: null },
    { type: "deleted", key: "colour" },
  ]);
});

it("changes a key once for calls with the same idempotency key", async () => {
  const { state, events } = await open();
  await state.set("n", 1, "once");
  await state.set("n", 1, "once");
  await state.set("n", 2);
  await expect.poll(() => state.get("n")).toBe(2);
  expect(events).toHaveLength(3);
});

it("needs only what follows the newest snapshot: the log may have dropped the rest", async () => {
  const { state, pairs } = await open({ snapshotEvery: 10 });
  for (let n = 0; n < 35; n++) await state.set(`k${n % 7}`, n);
  await expect.poll(() => Object.keys(pairs()).length).toBe(7);
  const length = await logLength();
  expect(length).toBe(38);
  await broker.publish(LOG, new TextEncoder().encode('["holdfast:set",["last",true]]'), {
    retention: { maxEntries: 12, maxAgeMs: 60_000 },
  });
  const late = await open({ snapshotEvery: 10 });
  expect(late.events[0]).toMatchObject({ complete: true });
  await expect.poll(pairs).toEqual(late.pairs());
});

it("says when the log no longer has all of it, also to those who come after a snapshot of that", async () => {
  const a = await open({ snapshotEvery: 10_000 });
  for (let n = 0; n < 20; n++) await a.state.set(`k${n}`, n);
  await broker.publish(LOG, new TextEncoder().encode('["holdfast:set",["last",true]]'), {
    retention: { maxEntries: 5, maxAgeMs: 60_000 },
  });
  const b = await open({ snapshotEvery: 1 });
  expect(b.events[0]).toMatchObject({ complete: false });
  expect(b.pairs()).toEqual({ k16: 16, k17: 17, k18: 18, k19: 19, last: true });
  await b.state.set("more", 1);
  await expect.poll(async () => (await logLength()) > 22).toBe(true);
  const c = await open();
  expect(c.events[0]).toMatchObject({ complete: false });
});

it("begins anew, and says so, when the broker lost the log", async () => {
  const proxy = await FaultProxy.open(Number(new URL(served.url).port));
  const link = connectBroker(proxy.urlOf(served.url));
  keep(proxy, () => proxy.close());
  keep(link, () => link.close());
  const { state, events, pairs } = await open({}, link);
  await state.set("a", 1);
  const other = openEmbeddedBroker();
  const otherServed = await serveBroker(other, { token: "one-token-for-both" });
  keep(otherServed, () => otherServed.close());
  keep(other, () => other.close());
  const elsewhere = await KeyedState.open(other, "room");
  await elsewhere.set("b", 2);
  await elsewhere.close();
  proxy.target(Number(new URL(otherServed.url).port));
  proxy.cut();
  await expect.poll(pairs, { timeout: 5_000 }).toEqual({ b: 2 });
  expect(events.at(-1)).toEqual({ type: "snapshot", pairs: new Map([["b", 2]]), complete: true });
  await state.set("c", 3);
  await expect.poll(pairs).toEqual({ b: 2, c: 3 });
});

it("refuses what has no room, what is no value, and options that it doesn't know", async () => {
  const { state } = await open({ maxKeys: 2, maxBytes: 1_024 });
  await state.set("a", 1);
  await state.set("b", "x".repeat(500));
  await expect.poll(() => state.pairs.size).toBe(2);
  await expect(state.set("c", 1)).rejects.toMatchObject({ code: "STATE_FULL" });
  await expect(state.set("a", "x".repeat(600))).rejects.toMatchObject({ code: "STATE_FULL" });
  await state.set("a", 2);
  for (const wrong of [undefined, 1n])
    await expect(state.set("a", wrong)).rejects.toMatchObject({ code: "STATE_INVALID" });
  for (const key of ["", "x".repeat(257)])
    await expect(state.set(key, 1)).rejects.toMatchObject({ code: "STATE_INVALID" });
  await expect(KeyedState.open(broker, "room", { other: 1 } as never)).rejects.toMatchObject({
    code: "HUB_OPTION_INVALID",
  });
  await state.close();
  await expect(state.set("a", 1)).rejects.toMatchObject({ code: "HUB_CLOSED" });
});

it.each([
  "[]",
  "no",
  '["holdfast:set",[1,2]]',
  '["holdfast:set",["k"]]',
  '["holdfast:snapshot",[99,[["k",1]],true]]',
  '["holdfast:snapshot",[-1,[],true]]',
  '["holdfast:snapshot",[0,[["k"]],true]]',
])("goes on past an entry that another program wrote: %s", async (text) => {
  await broker.publish(LOG, new TextEncoder().encode(text));
  const { state, pairs } = await open();
  await broker.publish(LOG, new TextEncoder().encode(text));
  await state.set("a", 1);
  await expect.poll(pairs).toEqual({ a: 1 });
  expect((await open()).pairs()).toEqual({ a: 1 });
});

const seed = testSeed();

it(`shows the same to whoever opens it whenever, while many nodes write and connections are cut (SEED=${seed})`, async () => {
  const { below, pick } = seededRandom(seed);
  const port = Number(new URL(served.url).port);
  const proxies = await Promise.all([FaultProxy.open(port), FaultProxy.open(port)]);
  const links = proxies.map((proxy) => connectBroker(proxy.urlOf(served.url), { minBackOffMs: 5 }));
  for (const one of [...proxies, ...links]) keep(one, () => one.close());
  const opened = await Promise.all(links.map((link) => open({ snapshotEvery: 8 }, link)));
  for (let step = 0; step < 300; step++) {
    const { state } = pick(opened);
    const key = `k${below(12)}`;
    const done = below(4) === 0 ? state.delete(key, `d${step}`) : state.set(key, step, `s${step}`);
    if (below(3) > 0) await done;
    if (below(40) === 0) pick(proxies).cut();
    if (below(25) === 0) opened.push(await open({ snapshotEvery: 8 }, pick(links)));
  }
  const { state } = opened[0] as (typeof opened)[0];
  await state.set("end", true);
  for (const one of opened) await expect.poll(() => one.state.get("end"), { timeout: 5_000 }).toBe(true);
  const fresh = await open({ snapshotEvery: 8 });
  for (const one of opened) await expect.poll(one.pairs, { timeout: 5_000 }).toEqual(fresh.pairs());
  for (const { events } of opened) {
    const replayed = new Map<string, unknown>();
    for (const event of events)
      if (event.type === "snapshot") {
        replayed.clear();
        for (const [key, value] of event.pairs) replayed.set(key, value);
      } else if (event.type === "set") replayed.set(event.key, event.value);
      else replayed.delete(event.key);
    expect(Object.fromEntries(replayed)).toEqual(fresh.pairs());
  }
});
