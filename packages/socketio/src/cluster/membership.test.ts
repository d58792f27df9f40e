import { type Broker, connectBroker, LeaseOwner, openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeToken } from "../session-id.ts";
import { Membership, type MembershipEvent, NODES_GROUP, type NodeChange } from "./membership.ts";
import { encodeNodeRecord, isNodeAddress, readNodeRecord } from "./node-record.ts";

let closers: (() => unknown)[];
let broker: Broker;
beforeEach(() => {
  broker = openEmbeddedBroker();
  closers = [() => broker.close()];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

function start(node: string, { ttlMs = 300, on = broker } = {}) {
  const events: MembershipEvent[] = [];
  const membership = new Membership({ broker: on, node, ttlMs, onEvent: (event) => events.push(event) });
  closers.push(() => membership.close());
  const names = () =>
    membership
      .nodes()
      .map((record) => record.node)
      .sort();
  return { membership, events, names };
}

const PLACE = { address: "http://127.0.0.1:3000", path: "/socket.io/" };

it("knows the nodes, where they are and their keys, and tells who comes and goes", async () => {
  const one = start("é one");
  await one.membership.announce(PLACE);
  const changes: string[] = [];
  one.membership.onChange(({ type, node }: NodeChange) => changes.push(`${node.node} ${type}`));
  const two = start("two");
  await two.membership.ready;
  expect(two.membership.find(one.membership.token)).toEqual({
    uid: one.membership.uid,
    node: "é one",
    token: nodeToken("é one"),
    key: one.membership.key,
    ...PLACE,
  });
  await two.membership.announce(PLACE);
  await expect.poll(one.names).toEqual(["two", "é one"]);
  const gone = one.membership.whenGone(two.membership.uid);
  await two.membership.close();
  await gone;
  await one.membership.whenGone("nobody");
  expect(changes).toEqual(["two joined", "two changed", "two left"]);
});

it("hands a name to the process that was started last, and back once that one is gone", async () => {
  const old = start("web-0");
  await old.membership.ready;
  const watcher = start("watcher");
  await watcher.membership.ready;
  const oldIsGone = watcher.membership.whenGone(old.membership.uid);
  const next = start("web-0");
  await next.membership.ready;
  await oldIsGone;
  const holder = () => watcher.membership.find(next.membership.token)?.uid;
  expect(holder()).toBe(next.membership.uid);
  await expect
    .poll(() => old.events)
    .toEqual([{ type: "node-replaced", node: "web-0", by: next.membership.uid }]);
  await old.membership.announce(PLACE);
  await old.membership.owner.renew();
  expect(holder()).toBe(next.membership.uid);
  expect([old.membership.isAnnounced, next.membership.isAnnounced]).toEqual([false, true]);
  await next.membership.close();
  await expect.poll(() => watcher.membership.find(old.membership.token)).toMatchObject(PLACE);
  expect(holder()).toBe(old.membership.uid);
});

it("does not let a process that was paused take its name back from its successor", async () => {
  const old = start("web-0", { ttlMs: 60 });
  await old.membership.ready;
  const until = Date.now() + 200;
  while (Date.now() < until);
  const next = start("web-0");
  await next.membership.ready;
  await expect.poll(() => old.events).toMatchObject([{ type: "node-replaced" }]);
  await old.membership.owner.renew();
  expect(next.membership.find(next.membership.token)?.uid).toBe(next.membership.uid);
});

it("is a member again after a pause that nobody else used", async () => {
  const paused = start("web-0", { ttlMs: 60 });
  const watcher = start("watcher");
  await Promise.all([paused.membership.ready, watcher.membership.ready]);
  const until = Date.now() + 200;
  while (Date.now() < until);
  await expect.poll(watcher.names).toEqual(["watcher", "web-0"]);
  expect(watcher.membership.find(paused.membership.token)?.uid).toBe(paused.membership.uid);
});

it("waits for a broker that is away, knows all again when it lost everything, and gives nobody up meanwhile", async () => {
  const token = "a-token-of-this-test";
  const first = await serveBroker(broker, { token });
  const port = Number(new URL(first.url).port);
  const url = first.url;
  await first.close();
  const client = () => {
    const connection = connectBroker(url, { requestMs: 100, maxBackOffMs: 100 });
    closers.push(() => connection.close());
    return connection;
  };
  const [one, two] = [
    start("one", { on: client(), ttlMs: 1_000 }),
    start("two", { on: client(), ttlMs: 1_000 }),
  ];
  await expect.poll(() => one.events.at(-1)?.type).toBe("membership-failed");
  expect(one.names()).toEqual([]);
  const serve = async () => {
    const log = openEmbeddedBroker();
    const served = await serveBroker(log, { port, token });
    closers.push(
      () => log.close(),
      () => served.close(),
    );
    return async () => {
      await served.close();
      await log.close();
    };
  };
  const stop = await serve();
  await Promise.all([one.membership.ready, two.membership.ready]);
  await expect.poll(one.names).toEqual(["one", "two"]);
  const changes: NodeChange[] = [];
  one.membership.onChange((change) => changes.push(change));
  await stop();
  await serve();
  const other = start("three", { on: client() });
  await expect.poll(other.names, { timeout: 10_000 }).toEqual(["one", "three", "two"]);
  await expect.poll(one.names).toEqual(["one", "three", "two"]);
  expect(changes.filter(({ type }) => type === "left")).toEqual([]);
}, 20_000);

it("tells those who share its owner of leases that are lost", async () => {
  const one = start("one");
  await one.membership.ready;
  await one.membership.owner.put("sessions", "a", new Uint8Array([1]));
  const lost = new Promise((resolve) => one.membership.onLost((place) => resolve(place)));
  const other = new LeaseOwner(broker, { name: "other" });
  closers.push(() => other.close());
  const [lease] = await broker.leases.list("sessions");
  await other.put("sessions", "a", new Uint8Array([2]), { expect: lease?.version ?? 0 });
  expect(await lost).toEqual({ group: "sessions", key: "a" });
  expect(one.membership.isAnnounced).toBe(true);
});

describe("takes no lease for a node that is none", () => {
  const key = nodeToken("web-0");
  const owner = `${key}.abcdefghijkl`;
  const record = { uid: owner, node: "web-0", token: key, key: new Uint8Array(32), ...PLACE };
  const good = JSON.parse(new TextDecoder().decode(encodeNodeRecord(record)));
  const read = (value: unknown, lease = { key, owner }) =>
    readNodeRecord({ group: NODES_GROUP, version: 1, ...lease, value: Buffer.from(JSON.stringify(value)) });

  it("but for one that is, also with fields of a later version", () => {
    expect(read({ ...good, later: [1] })).toEqual({ ...record, key: Buffer.alloc(32) });
  });

  it.each<[string, object]>([
    ["another process' id", { uid: `${key}.mnopqrstuvwx` }],
    ["another node's name", { node: "web-1" }],
    ["a name that is no text", { node: ["web-0"] }],
    ["a key that is too short", { key: "AAAA" }],
    ["no key", { key: undefined }],
    ["a path that is none", { path: "x\r\ny" }],
    ["another scheme", { address: "https://10.0.0.1:1" }],
    ["a file", { address: "file:///etc/passwd" }],
    ["a path in the address", { address: "http://10.0.0.1:1/admin" }],
    ["a password", { address: "http://a:b@10.0.0.1:1" }],
    ["a query", { address: "http://10.0.0.1:1?x" }],
    ["an address that is no text", { address: 1 }],
  ])("because of %s", (_title, wrong) => {
    expect(read({ ...good, ...wrong })).toBeUndefined();
  });

  it("because of its place, its size, or because it is no JSON", () => {
    expect(read(good, { key: nodeToken("web-1"), owner })).toBeUndefined();
    expect(read(good, { key, owner: "somebody" })).toBeUndefined();
    expect(read({ ...good, later: "x".repeat(5_000) })).toBeUndefined();
    for (const wrong of [null, 1, "x", []]) expect(read(wrong)).toBeUndefined();
    const bytes = { group: NODES_GROUP, key, owner, version: 1, value: Buffer.from([0xff, 1]) };
    expect(readNodeRecord(bytes)).toBeUndefined();
  });

  it("and says so", async () => {
    const one = start("one");
    await one.membership.ready;
    const stranger = new LeaseOwner(broker, { name: "stranger" });
    closers.push(() => stranger.close());
    await stranger.put(NODES_GROUP, key, Buffer.from("{}"));
    await expect.poll(() => one.events).toMatchObject([{ type: "node-unreadable", key }]);
    expect(one.names()).toEqual(["one"]);
    expect(isNodeAddress("http://[::1]:80")).toBe(true);
  });
});
