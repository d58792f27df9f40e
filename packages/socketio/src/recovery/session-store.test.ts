import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { afterEach, beforeEach, expect, it } from "vitest";
import { encodeSessionRecord } from "./session-record.ts";
import { type FoundSession, SessionStore } from "./session-store.ts";

const pid = "0123456789abcdefghij";
const other = "abcdefghij0123456789";

let broker: Broker;
let stores: SessionStore[];
let lost: string[];
let errors: unknown[];
beforeEach(() => {
  broker = openEmbeddedBroker();
  stores = [];
  lost = [];
  errors = [];
});
afterEach(async () => {
  for (const store of stores) await store.close();
  await broker.close();
});

function open(name: string, lingerMs = 60_000): SessionStore {
  const store = new SessionStore(broker, {
    name,
    lingerMs,
    onLost: (id) => lost.push(`${name} ${id}`),
    onError: (error) => errors.push(error),
  });
  stores.push(store);
  return store;
}
function record(data: unknown, id = pid): Uint8Array | undefined {
  const head = { namespace: "/", sid: "sid-sid-sid-sid-sid-", pid: id, rooms: [], left: [] };
  return encodeSessionRecord(head, JSON.stringify(data));
}
const found = async (store: SessionStore, id = pid) => (await store.find(id))?.record.data;

it("writes what changes in one turn of the event loop once, as it is then", async () => {
  const store = open("a");
  let data = 1;
  let made = 0;
  const make = () => {
    made++;
    return record(data);
  };
  const writes = [store.write(pid, make), store.write(pid, make), store.write(pid, make)];
  data = 2;
  expect(await Promise.all(writes)).toEqual(["stored", "stored", "stored"]);
  expect(await found(store)).toBe(2);
  expect(made).toBe(1);
});

it("has stored what a write resolves for, also when another one is under way", async () => {
  const store = open("a");
  let data = 0;
  const writes: Promise<unknown>[] = [];
  for (; data < 20; ) {
    const at = ++data;
    writes.push(
      store
        .write(pid, () => record(data))
        .then(async () => expect(Number(await found(store))).toBeGreaterThanOrEqual(at)),
    );
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(writes);
});

it("lets one node have a session: who was taken over is told, and can't write it again", async () => {
  const [a, b] = [open("a"), open("b")];
  await a.write(pid, () => record("a"));
  const session = await b.find(pid);
  expect(await b.take(pid, { ...(session as FoundSession), value: record("b") as Uint8Array })).toBe(true);
  await expect.poll(() => lost).toEqual([`a ${pid}`]);
  expect(await a.write(pid, () => record("late"))).toBe("refused");
  expect(await found(a)).toBe("b");
  expect(await b.write(pid, () => record("b2"))).toBe("stored");
});

it("takes over only what was found, however many try", async () => {
  const nodes = [open("a"), open("b"), open("c")];
  await nodes[0]?.write(pid, () => record("a"));
  const session = await nodes[0]?.find(pid);
  const taken = await Promise.all(nodes.map((store) => store.take(pid, session as FoundSession)));
  expect(taken.filter(Boolean)).toHaveLength(1);
});

it("forgets a record that is too large, and says so", async () => {
  const store = open("a");
  await store.write(pid, () => record("small"));
  expect(await store.write(pid, () => record("x".repeat(70_000)))).toBe("unwritable");
  expect(await store.find(pid)).toBeUndefined();
  expect(await store.write(pid, () => record("small again"))).toBe("stored");
});

it("writes again until the broker has it, and no longer when the session has ended", async () => {
  const store = open("a");
  const { put } = broker.leases;
  let away = true;
  broker.leases.put = (write) => {
    if (!away) return put.call(broker.leases, write);
    return Promise.reject(Object.assign(new Error("away"), { code: "BROKER_UNAVAILABLE", retryable: true }));
  };
  const [first, second] = [store.write(pid, () => record(1)), store.write(other, () => record(1, other))];
  await expect.poll(() => errors.length).toBeGreaterThan(1);
  store.remove(other);
  expect(await second).toBe("refused");
  away = false;
  expect(await first).toBe("stored");
  expect(await store.find(other)).toBeUndefined();
});

it("ends at once where it is told so, and else when nobody came in time", async () => {
  const store = open("a", 50);
  for (const id of [pid, other]) await store.write(id, () => record(1, id));
  store.remove(other);
  await expect.poll(() => store.find(other)).toBeUndefined();
  expect(await found(store)).toBe(1);
  store.end(pid);
  await expect.poll(() => store.find(pid)).toBeUndefined();
});

it("outlives its node for as long as it is told", async () => {
  const store = open("a", 100);
  await store.write(pid, () => record(1));
  await store.close();
  expect(await found(open("b"))).toBe(1);
  await expect.poll(() => open("c").find(pid)).toBeUndefined();
});

it("takes what another program wrote in a record's place for none, and leaves it alone", async () => {
  const place = { group: `holdfast:session:${pid}`, key: "record" };
  const junk = new TextEncoder().encode('[1,"/"]');
  const write = { ...place, owner: "other", ttlMs: 60_000, value: junk, lingerMs: 0 };
  await broker.leases.put({ ...write, when: { type: "own", version: 0 } });
  const store = open("a");
  expect(await store.find(pid)).toBeUndefined();
  expect(await store.write(pid, () => record(1))).toBe("refused");
  expect((await broker.leases.list(place.group))[0]?.owner).toBe("other");
});

it.each([
  ["nothing", ""],
  ["a part of it", pid.slice(0, 19)],
  ["more", `${pid}x`],
  ["a path", "../..".padEnd(20, "/")],
])("finds nothing by %s", async (_title, id) => {
  const store = open("a");
  await store.write(pid, () => record(1));
  expect(await store.find(id)).toBeUndefined();
});
