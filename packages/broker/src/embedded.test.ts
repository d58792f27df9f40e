import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { bytes, logOf, record, textOf, WAIT } from "../test/feed.ts";
import { type EmbeddedBrokerOptions, openEmbeddedBroker } from "./embedded.ts";
import { LeaseOwner } from "./lease-owner.ts";
import type { Broker } from "./port.ts";

let folder: string;
let path: string;
let opened: Broker[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-embedded-"));
  path = join(folder, "log.db");
  opened = [];
});

afterEach(async () => {
  vi.restoreAllMocks();
  for (const broker of opened) await broker.close();
  await rm(folder, { recursive: true });
});

function fail(): never {
  throw new Error("there is no such listener");
}

function open(options: EmbeddedBrokerOptions = {}): Broker {
  const broker = openEmbeddedBroker(options);
  opened.push(broker);
  return broker;
}

/** How many rows a table of the closed broker's file has. */
function rows(table: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const row = database.prepare(`SELECT count(*) AS count FROM ${table}`).get();
  database.close();
  return Number(row?.count);
}

describe("a file", () => {
  test("keeps entries, epochs, numbering and idempotency keys", async () => {
    const before = open({ path });
    const first = await before.publish("c", bytes("1"), { idempotencyKey: "key" });
    const { head: silent } = await before.history("silent", {});
    await before.close();
    const after = open({ path });
    expect((await logOf(after, "c")).map(textOf)).toEqual(["1"]);
    expect((await after.history("silent", {})).head).toEqual(silent);
    expect(await after.publish("c", bytes("1"), { idempotencyKey: "key" })).toEqual({
      ...first,
      duplicate: true,
    });
    const next = await after.publish("c", bytes("2"));
    expect(next.position).toMatchObject({ epoch: first.position.epoch, offset: 2 });
    expect(next.seq).toBeGreaterThan(first.seq);
  });

  test("keeps a channel's own retention, its head and what it dropped", async () => {
    const retention = { maxEntries: 2, maxAgeMs: 60_000 };
    const before = open({ path });
    for (const n of ["1", "2", "3", "4"]) await before.publish("c", bytes(n), { retention });
    await before.close();
    const after = open({ path });
    expect((await logOf(after, "c")).map(textOf)).toEqual(["3", "4"]);
    // A wider retention brings nothing back.
    await after.publish("c", bytes("5"), { retention: { maxEntries: 100, maxAgeMs: 60_000 } });
    expect((await logOf(after, "c")).map(textOf)).toEqual(["3", "4", "5"]);
  });

  test("of version 1 is brought to this version, with its entries, epochs and idempotency keys", async () => {
    const old = new DatabaseSync(path);
    old.exec(VERSION_1);
    old.close();
    const broker = open({ path });
    expect((await logOf(broker, "c")).map(textOf)).toEqual(["one", "two"]);
    const head = { epoch: "epoch-of-one", offset: 2, tag: "tag2" };
    expect(await broker.history("c", { limit: 0 })).toMatchObject({ head, seq: 2 });
    // What this channel's newest entry was is no longer known: it was none after the newest of all.
    expect(await broker.history("gone", {})).toMatchObject({ entries: [], head: { offset: 1 }, seq: 2 });
    expect(await broker.history("unused", {})).toMatchObject({ entries: [], head: { offset: 0 }, seq: 0 });
    const again = await broker.publish("c", bytes("two"), { idempotencyKey: "key" });
    expect(again).toEqual({
      position: { epoch: "epoch-of-one", offset: 2, tag: "tag2" },
      seq: 2,
      duplicate: true,
    });
    expect((await broker.publish("c", bytes("three"))).seq).toBe(3);
    const owner = new LeaseOwner(broker, { name: "node" });
    expect((await owner.put("g", "k", bytes("x"))).type).toBe("put");
    await broker.close();
    expect((await logOf(open({ path }), "c")).map(textOf)).toEqual(["one", "two", "three"]);
  });

  test("keeps leases, whose owners have their whole time to live again", async () => {
    let now = 1_000_000;
    const clock = () => now;
    const before = open({ path, clock });
    const write = { ttlMs: 1000, group: "g", value: bytes("x"), when: { type: "own", version: 0 } } as const;
    const put = await before.leases.put({ ...write, owner: "one", key: "k", lingerMs: 0 });
    await before.leases.put({ ...write, owner: "two", key: "session", lingerMs: 5000 });
    await before.leases.release("two");
    await before.close();
    now += 4999;
    const after = open({ path, clock, sweepMs: 5 });
    expect((await after.leases.list("g")).map(({ key }) => key)).toEqual(["k", "session"]);
    now += 1;
    expect((await after.leases.list("g")).map(({ key }) => key)).toEqual(["k"]);
    now += 998;
    expect(await after.leases.renew("one", 1000)).toBe(1);
    now += 999;
    const next = await after.leases.put({ ...write, owner: "one", key: "k", lingerMs: 0 });
    expect(next.type === "put" && put.type === "put" && next.version > put.version).toBe(true);
    now += 1000;
    expect(await after.leases.list("g")).toEqual([]);
    expect(await after.leases.renew("one", 1000)).toBe(0);
    await swept(after);
    await after.close();
    expect([rows("leases"), rows("lease_owners")]).toEqual([0, 0]);
  });

  test("that is full refuses publishes as retryable, loses nothing, and takes them again when there is room", async () => {
    let now = 1_000_000;
    const retention = { maxEntries: 10_000, maxAgeMs: 1000 };
    const broker = open({ path, maxFileBytes: 512 * 1024, retention, sweepMs: 5, clock: () => now });
    const seen = record();
    await broker.subscribe("c", seen.listener);
    const accepted: string[] = [];
    const full = { code: "BROKER_FULL", retryable: true };
    await expect(
      (async () => {
        for (let n = 0; n < 1000; n++) {
          await broker.publish("c", bytes(`${n}`.padEnd(4000)));
          accepted.push(`${n}`);
        }
      })(),
    ).rejects.toMatchObject(full);
    await expect(broker.publishAll([{ channel: "c", data: new Uint8Array(4000) }])).rejects.toMatchObject(
      full,
    );
    expect(accepted.length).toBeGreaterThan(50);
    expect((await logOf(broker, "c")).map((entry) => textOf(entry).trim())).toEqual(accepted);
    expect(seen.texts().map((content) => content.trim())).toEqual(accepted);
    const statuses: string[] = [];
    broker.watch(({ type }) => statuses.push(type));
    now += 1000;
    await vi.waitFor(() => broker.publish("c", bytes("there is room")), WAIT);
    expect(statuses.at(-1)).toBe("available");
    expect(seen.texts().at(-1)).toBe("there is room");
    expect(seen.offsets()).toEqual(Array.from({ length: accepted.length + 1 }, (_, n) => n + 1));
  });

  test("is held by one broker at a time", async () => {
    open({ path });
    expect(() => openEmbeddedBroker({ path })).toThrow(expect.objectContaining({ code: "STORE_IN_USE" }));
  });

  test("of another program, of another version, of no database, or in no folder is refused with its name", async () => {
    const refused = (code: string, name: string) =>
      expect.objectContaining({ code, message: expect.stringContaining(name) });
    const [foreign, newer, text] = ["foreign.db", "newer.db", "text.db"].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    const database = new DatabaseSync(foreign);
    database.exec("CREATE TABLE other (id INTEGER)");
    database.close();
    await openEmbeddedBroker({ path: newer }).close();
    const changed = new DatabaseSync(newer);
    changed.exec("PRAGMA user_version = 99");
    changed.close();
    await writeFile(text, "This is a text of some length, and no database at all.".repeat(50));
    for (const bad of [foreign, newer, text])
      expect(() => openEmbeddedBroker({ path: bad })).toThrow(refused("STORE_UNUSABLE", bad));
    const nowhere = join(folder, "nowhere", "log.db");
    expect(() => openEmbeddedBroker({ path: nowhere })).toThrow(refused("STORE_UNUSABLE", nowhere));
  });
});

describe("publishing", () => {
  test("of one turn of the event loop shares one commit, and listeners hear before it resolves", async () => {
    const broker = open();
    const seen = record();
    await broker.subscribe("c", seen.listener);
    const statements = vi.spyOn(DatabaseSync.prototype, "exec");
    const publishing = Array.from({ length: 100 }, (_, n) => broker.publish("c", bytes(`${n}`)));
    expect(seen.texts()).toEqual([]);
    await publishing[0];
    expect(seen.texts()).toHaveLength(100);
    await Promise.all(publishing);
    expect(statements.mock.calls.filter(([sql]) => sql === "COMMIT")).toHaveLength(1);
  });

  test("that can't be written is rejected as retryable, leaves nothing behind, and says so to watchers", async () => {
    const broker = open({ path });
    const [seen, statuses] = [record(), [] as string[]];
    await broker.publish("c", bytes("1"));
    await broker.subscribe("c", seen.listener);
    broker.watch(({ type }) => statuses.push(type));
    failOnce("COMMIT", "before");
    const failing = ["2", "3"].map((n) => broker.publish("c", bytes(n)));
    for (const publishing of failing)
      await expect(publishing).rejects.toMatchObject({
        code: "BROKER_UNAVAILABLE",
        retryable: true,
        cause: new Error("The disk is full."),
      });
    const next = await broker.publish("c", bytes("4"));
    expect(next.position.offset).toBe(2);
    expect(seen.texts()).toEqual(["4"]);
    expect((await logOf(broker, "c")).map(textOf)).toEqual(["1", "4"]);
    expect(statuses).toEqual(["available", "unavailable", "available"]);
  });

  test("that failed and was written all the same is delivered before anything later", async () => {
    const broker = open({ path });
    const seen = record();
    await broker.subscribe("c", seen.listener);
    failOnce("COMMIT", "after");
    await expect(broker.publish("c", bytes("1"))).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
    await broker.publish("c", bytes("2"));
    expect(seen.texts()).toEqual(["1", "2"]);
  });

  test("is refused when too many bytes wait for a commit", async () => {
    const broker = open({ maxWaitingBytes: 10_000 });
    const publishing = Array.from({ length: 20 }, () => broker.publish("c", new Uint8Array(1000)));
    const settled = await Promise.allSettled(publishing);
    const refused = settled.filter(({ status }) => status === "rejected");
    expect(refused.length).toBeGreaterThan(5);
    expect(refused[0]).toMatchObject({ reason: { code: "BROKER_UNAVAILABLE" } });
    expect(await logOf(broker, "c")).toHaveLength(20 - refused.length);
  });

  test("that waits for its commit is accepted by a close", async () => {
    const broker = open({ path });
    const publishing = broker.publish("c", bytes("last"));
    await broker.close();
    expect(await publishing).toMatchObject({ position: { offset: 1 } });
    expect((await logOf(open({ path }), "c")).map(textOf)).toEqual(["last"]);
  });
});

describe("time and bounds", () => {
  test("too many leases, or too many bytes in a group, are refused", async () => {
    const few = open({ maxLeases: 2 });
    const put = (broker: Broker, key: string, size = 1) =>
      broker.leases.put({
        owner: "one",
        ttlMs: 60_000,
        group: "g",
        key,
        value: new Uint8Array(size),
        lingerMs: 0,
        when: { type: "own", version: 0 },
      });
    await put(few, "1");
    await put(few, "2");
    const refused = { code: "LEASE_LIMIT", retryable: true };
    await expect(put(few, "3")).rejects.toMatchObject(refused);
    await put(few, "2", 1000);
    await few.leases.remove("one", "g", "1");
    await put(few, "3");
    const broker = open();
    const large = Array.from({ length: 127 }, (_, n) => put(broker, `${n}`, 64 * 1024));
    await Promise.all(large);
    await expect(put(broker, "more", 64 * 1024)).rejects.toMatchObject(refused);
    await put(broker, "126", 1);
    await put(broker, "more", 64 * 1024);
  });

  test("an idempotency key is forgotten after its time, and its row goes", async () => {
    let now = 1_000_000;
    const broker = open({ path, clock: () => now, sweepMs: 5 });
    const publish = () => broker.publish("c", bytes("x"), { idempotencyKey: "key" });
    await publish();
    now += 5 * 60_000 - 1;
    expect((await publish()).duplicate).toBe(true);
    now += 1;
    expect(await publish()).toMatchObject({ duplicate: false, position: { offset: 2 } });
    now += 5 * 60_000;
    await swept(broker);
    await broker.close();
    expect(rows("idempotency")).toBe(0);
  });

  test("too many idempotency keys are refused, and there is room again after their time", async () => {
    let now = 0;
    const broker = open({ maxIdempotencyKeys: 2, clock: () => now, sweepMs: 5 });
    const publish = (idempotencyKey: string) => broker.publish("c", bytes("x"), { idempotencyKey });
    await publish("1");
    await publish("2");
    await expect(publish("3")).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE", retryable: true });
    await publish("2");
    now += 5 * 60_000;
    await vi.waitFor(() => publish("3"), WAIT);
  });

  test("entries past their age or number leave the file too", async () => {
    let now = 1_000_000;
    const broker = open({
      path,
      clock: () => now,
      sweepMs: 5,
      retention: { maxEntries: 100, maxAgeMs: 1000 },
    });
    await Promise.all(Array.from({ length: 3000 }, () => broker.publish("many", bytes("x"))));
    await broker.publish("old", bytes("x"));
    now += 999;
    await broker.publish("young", bytes("x"));
    now += 1;
    await swept(broker);
    await broker.close();
    expect(rows("entries")).toBe(1);
  });

  test("a channel without entries and subscribers is forgotten, and old positions in it are refused", async () => {
    let now = 1_000_000;
    const broker = open({ clock: () => now, sweepMs: 5, maxChannels: 2, forgetChannelAfterMs: 7_200_000 });
    const { position } = await broker.publish("idle", bytes("x"));
    await broker.subscribe("followed", () => undefined);
    const { head } = await broker.history("followed", {});
    await expect(broker.history("third", {})).rejects.toMatchObject({ code: "CHANNEL_LIMIT" });
    now += 7_199_999;
    await swept(broker);
    expect((await broker.history("idle", { since: position })).type).toBe("page");
    now += 10_000;
    await swept(broker);
    expect(await broker.history("idle", { since: position })).toMatchObject({ reason: "epoch" });
    expect((await broker.history("followed", {})).head).toEqual(head);
  });

  test("a channel that nobody has published to costs no commit, and keeps its epoch when it is left and when it is", async () => {
    const broker = open();
    const commits = vi.spyOn(DatabaseSync.prototype, "exec");
    const seen = Array.from({ length: 20 }, record);
    const following = await Promise.all(seen.map(({ listener }, n) => broker.subscribe(`c${n}`, listener)));
    expect(commits).not.toHaveBeenCalled();
    const began = seen.map(({ events }) =>
      events[0]?.type === "subscribed" ? events[0].position : undefined,
    );
    expect(new Set(began.map((position) => position?.epoch)).size).toBe(20);
    for (const subscription of following.slice(0, 15)) await subscription.close();
    // Some come back before the row is made, and some after.
    await broker.subscribe("c0", seen[0]?.listener ?? fail);
    await vi.waitFor(() => expect(commits).toHaveBeenCalledWith("COMMIT"), WAIT);
    for (const [n, since] of began.entries()) {
      if (n % 2 === 0) await broker.publish(`c${n}`, bytes("x"));
      const page = await broker.history(`c${n}`, since ? { since } : {});
      expect(page).toMatchObject({ type: "page", head: { epoch: since?.epoch, offset: (n + 1) % 2 } });
    }
    expect(seen[0]?.texts()).toEqual(["x"]);
    expect(seen[16]?.texts()).toEqual(["x"]);
  });

  test("channels count before anybody has published to them, too", async () => {
    const broker = open({ maxChannels: 3 });
    for (const name of ["a", "b", "c"]) await broker.subscribe(name, () => undefined);
    const limit = { code: "CHANNEL_LIMIT" };
    await expect(broker.subscribe("d", () => undefined)).rejects.toMatchObject(limit);
    await expect(broker.publish("d", bytes("x"))).rejects.toMatchObject(limit);
    for (const name of ["a", "b", "c"]) await broker.publish(name, bytes("x"));
  });

  test("a page is bounded in bytes", async () => {
    const broker = open();
    await Promise.all(Array.from({ length: 10 }, () => broker.publish("c", new Uint8Array(400_000))));
    const history = await broker.history("c", {});
    expect(history.type === "page" && history.entries.length).toBe(3);
  });

  test.each([
    { maxEntryBytes: 0 },
    { sweepMs: 1.5 },
    { idempotencyMs: 1000 },
    { path: "" },
    { patch: "log.db" },
    JSON.parse('{"__proto__": 1, "x": 1}'),
  ])("the options %j are refused", (options) => {
    expect(() => openEmbeddedBroker(options)).toThrow(expect.objectContaining({ code: "OPTIONS_INVALID" }));
  });

  test("a retention of nothing is refused", () => {
    const retention = { maxEntries: 0, maxAgeMs: 1 };
    expect(() => openEmbeddedBroker({ retention })).toThrow(
      expect.objectContaining({ code: "RETENTION_INVALID" }),
    );
  });
});

/** Makes one statement fail, before or after it took effect. */
function failOnce(statement: string, when: "before" | "after"): void {
  const { exec } = DatabaseSync.prototype;
  const spy = vi.spyOn(DatabaseSync.prototype, "exec").mockImplementation(function (this: DatabaseSync, sql) {
    if (sql !== statement) return exec.call(this, sql);
    spy.mockRestore();
    if (when === "after") exec.call(this, sql);
    throw new Error("The disk is full.");
  });
}

/** Waits until everything that is due was swept: for many sweeps, each of which takes a batch. */
async function swept(broker: Broker): Promise<void> {
  const spy = vi.spyOn(DatabaseSync.prototype, "exec");
  // The broker itself commits nothing meanwhile, so each commit here is a sweep's.
  await vi.waitFor(
    () => expect(spy.mock.calls.filter(([sql]) => sql === "COMMIT").length).toBeGreaterThan(30),
    WAIT,
  );
  spy.mockRestore();
  // Behind a sweep of leases that is under way.
  await broker.leases.remove("nobody", "g", "k");
}

/** A file of version 1 of the schema, as that Holdfast left it. */
const VERSION_1 = `
  CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL) STRICT;
  INSERT INTO meta VALUES (1, 2);
  CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, head INTEGER NOT NULL,
    tag TEXT NOT NULL, first INTEGER NOT NULL, max_entries INTEGER, max_age_ms INTEGER, used INTEGER NOT NULL,
    due INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX channels_due ON channels (due);
  INSERT INTO channels VALUES
    (1, 'c', 'epoch-of-one', 2, 'tag2', 1, NULL, NULL, 4000000000000, 4000000000000),
    (2, 'gone', 'epoch-of-two', 1, 'tag', 2, NULL, NULL, 4000000000000, 4000000000000),
    (3, 'unused', 'epoch-of-three', 0, '', 1, NULL, NULL, 4000000000000, 4000000000000);
  CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, offset INTEGER NOT NULL, tag TEXT NOT NULL,
    time INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (channel_id, offset)
  ) STRICT;
  INSERT INTO entries VALUES (1, 1, 1, 'tag1', 4000000000000, x'6f6e65'), (2, 1, 2, 'tag2', 4000000000000, x'74776f');
  CREATE TABLE idempotency (
    channel_id INTEGER NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, tag TEXT NOT NULL,
    seq INTEGER NOT NULL, expires INTEGER NOT NULL, UNIQUE (channel_id, key)
  ) STRICT;
  CREATE INDEX idempotency_expires ON idempotency (expires);
  INSERT INTO idempotency VALUES (1, 'key', 2, 'tag2', 2, 4000000000000);
  PRAGMA application_id = ${0x48464c47};
  PRAGMA user_version = 1;
`;
