import {
  type Broker,
  connectBroker,
  openEmbeddedBroker,
  type ServedBroker,
  serveBroker,
} from "@holdfast/broker";
import { beforeEach, expect, it } from "vitest";
import { FaultProxy } from "../../../broker/test/fault-proxy.ts";
import { keeper } from "../../../broker/test/keeper.ts";
import { Presence } from "./presence.ts";
import type { PresenceEvent } from "./presence-events.ts";

let broker: Broker;
let served: ServedBroker;
const keep = keeper();

beforeEach(async () => {
  broker = openEmbeddedBroker();
  keep(broker, () => broker.close());
  served = await serveBroker(broker);
  keep(served, () => served.close());
});

function node(name: string, options: { ttlMs?: number; graceMs?: number } = {}, url = served.url) {
  const link = connectBroker(url, { requestMs: 1_000 });
  const presence = new Presence(link, { node: name, ttlMs: 600, graceMs: 100, ...options });
  keep(link, () => link.close());
  keep(presence, () => presence.close());
  return presence;
}

async function throughProxy(): Promise<FaultProxy> {
  const proxy = await FaultProxy.open(Number(new URL(served.url).port));
  return keep(proxy, () => proxy.close());
}

async function follow(presence: Presence, channel = "room") {
  const events: PresenceEvent[] = [];
  await presence.follow(channel, (event) => events.push(event));
  return {
    events,
    told: () =>
      events.map((event) =>
        event.type === "here"
          ? `here ${event.members.map((member) => member.connection).sort()}`
          : event.type === "joined"
            ? `joined ${event.member.connection}${event.isFirst ? " first" : ""}`
            : event.type === "left"
              ? `left ${event.member.connection}${event.isLast ? " last" : ""}`
              : `changed ${event.member.connection}`,
      ),
  };
}

const member = (connection: string, user = "ann", info: unknown = null) => ({ connection, user, info });
const names = async (presence: Presence) =>
  (await presence.members("room")).map(({ connection }) => connection).sort();

it("tells who is there, who joins and who leaves, by connection and by user, on every node", async () => {
  const [a, b] = [node("a"), node("b")];
  await a.enter("room", member("c1", "ann", { colour: "red" }));
  const seen = await follow(b);
  expect(seen.events).toEqual([{ type: "here", members: [member("c1", "ann", { colour: "red" })] }]);
  await b.enter("room", member("c2", "ann"));
  await a.enter("room", member("c3", "bob"));
  await a.enter("other", member("c1", "ann"));
  await a.leave("room", "c1");
  await b.leave("room", "c2");
  await expect
    .poll(seen.told)
    .toEqual(["here c1", "joined c2", "joined c3 first", "left c1", "left c2 last"]);
  expect(await names(a)).toEqual(["c3"]);
  expect(a.size).toBe(2);
});

it("tells of a change of a connection's info once, and of nothing where nothing changed", async () => {
  const [a, b] = [node("a"), node("b")];
  const seen = await follow(b);
  await a.enter("room", member("c1", "ann", { state: "here" }));
  await a.enter("room", member("c1", "ann", { state: "here" }));
  await a.enter("room", member("c1", "ann", { state: "typing" }));
  await a.leave("room", "c1");
  await expect.poll(seen.told).toEqual(["here ", "joined c1 first", "changed c1", "left c1 last"]);
});

it("shows a connection that broke off for a while, and tells nothing when it comes back in time", async () => {
  const [a, b] = [node("a", { graceMs: 60_000 }), node("b", { graceMs: 50 })];
  const seen = await follow(b);
  await a.enter("room", member("c1"));
  await a.leave("room", "c1", "broke-off");
  expect(await names(b)).toEqual(["c1"]);
  await a.enter("room", member("c1"));
  await b.enter("room", member("c2", "bob"));
  await b.leave("room", "c2", "broke-off");
  await expect.poll(seen.told).toEqual(["here ", "joined c1 first", "joined c2 first", "left c2 last"]);
});

it("lets a record follow its connection to another node, which nobody is told of, and the old node can't end it", async () => {
  const [a, b] = [node("a"), node("b")];
  const seen = await follow(b);
  await a.enter("room", member("c1"));
  await b.enter("room", member("c1"));
  await expect.poll(() => a.size).toBe(0);
  await a.leave("room", "c1");
  await a.close();
  expect(await names(b)).toEqual(["c1"]);
  await b.leave("room", "c1");
  await expect.poll(seen.told).toEqual(["here ", "joined c1 first", "left c1 last"]);
});

it("forgets the members of a node that died within their time to live", async () => {
  const proxy = await throughProxy();
  const dying = node("dying", {}, proxy.urlOf(served.url));
  const watching = node("watching");
  const seen = await follow(watching);
  await dying.enter("room", member("c1"));
  await watching.enter("room", member("c2", "bob"));
  proxy.refuse();
  await expect.poll(seen.told, { timeout: 5_000 }).toContain("left c1 last");
  expect(await names(watching)).toEqual(["c2"]);
});

it("does not lose the members of a node that was only slow: they are back when it is", async () => {
  const proxy = await throughProxy();
  const slow = node("slow", {}, proxy.urlOf(served.url));
  const watching = node("watching");
  const seen = await follow(watching);
  await slow.enter("room", member("c1"));
  proxy.refuse();
  await expect.poll(seen.told, { timeout: 5_000 }).toContain("left c1 last");
  proxy.accept();
  await expect.poll(() => names(watching), { timeout: 10_000 }).toEqual(["c1"]);
  await expect.poll(seen.told).toEqual(["here ", "joined c1 first", "left c1 last", "joined c1 first"]);
});

it("writes a record as soon as the broker can be reached, although the call for it was rejected", async () => {
  const proxy = await throughProxy();
  const link = connectBroker(proxy.urlOf(served.url), { requestMs: 200 });
  const presence = new Presence(link, { node: "a", ttlMs: 600 });
  keep(link, () => link.close());
  keep(presence, () => presence.close());
  await presence.enter("room", member("c0"));
  proxy.refuse();
  await expect(presence.enter("room", member("c1"))).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
  proxy.accept();
  await expect.poll(() => names(node("b")), { timeout: 10_000 }).toEqual(["c0", "c1"]);
});

it.each([
  ["a connection that is no name", { connection: "a b", user: "ann", info: null }],
  ["no user", { connection: "c", user: "", info: null }],
  ["a long user", { connection: "c", user: "x".repeat(257), info: null }],
  ["too much info", { connection: "c", user: "ann", info: "x".repeat(9_000) }],
  ["info that is no JSON", { connection: "c", user: "ann", info: 1n }],
])("refuses %s", async (_title, wrong) => {
  const a = node("a");
  await expect(a.enter("room", wrong)).rejects.toMatchObject({ code: "PRESENCE_INVALID" });
  expect(a.size).toBe(0);
});

it("refuses options that it doesn't know, and what is out of range", () => {
  expect(() => new Presence(broker, { node: "a", ttlMs: 1 })).toThrow(/ttlMs must be/);
  expect(() => new Presence(broker, { node: "a", other: 1 } as never)).toThrow(/other/);
});

it("leaves out records that another program wrote and that are none", async () => {
  const a = node("a");
  const seen = await follow(a);
  const put = (key: string, text: string) =>
    broker.leases.put({
      owner: "other",
      ttlMs: 60_000,
      group: "holdfast:presence:room",
      key,
      value: new TextEncoder().encode(text),
      lingerMs: 0,
      when: { type: "own", version: 0 },
    });
  await put("c1", "{}");
  await put("c2", "[1,2]");
  await put("c3", '["ann",{"a":1}]');
  await expect.poll(seen.told).toEqual(["here ", "joined c3 first"]);
  expect(await names(a)).toEqual(["c3"]);
});
