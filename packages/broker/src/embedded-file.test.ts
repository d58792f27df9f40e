import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test, vi } from "vitest";
import { embeddedFile, swept } from "../test/embedded-file.ts";
import { bytes, logOf, record, textOf, WAIT } from "../test/feed.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { LeaseOwner } from "./lease-owner.ts";

const { folder, path, open, rows } = embeddedFile();

describe("a file", () => {
  test("keeps entries, epochs, numbering and idempotency keys", async () => {
    const before = open({ path: path() });
    const first = await before.publish("c", bytes("1"), { idempotencyKey: "key" });
    const { head: silent } = await before.history("silent", {});
    await before.close();
    const after = open({ path: path() });
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
    const before = open({ path: path() });
    for (const n of ["1", "2", "3", "4"]) await before.publish("c", bytes(n), { retention });
    await before.close();
    const after = open({ path: path() });
    expect((await logOf(after, "c")).map(textOf)).toEqual(["3", "4"]);
    // A wider retention brings nothing back.
    await after.publish("c", bytes("5"), { retention: { maxEntries: 100, maxAgeMs: 60_000 } });
    expect((await logOf(after, "c")).map(textOf)).toEqual(["3", "4", "5"]);
  });

  test("of version 1 is brought to this version, with its entries, epochs and idempotency keys", async () => {
    const old = new DatabaseSync(path());
    old.exec(VERSION_1);
    old.close();
    const broker = open({ path: path() });
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
    expect((await logOf(open({ path: path() }), "c")).map(textOf)).toEqual(["one", "two", "three"]);
  });

  test("keeps leases, whose owners have their whole time to live again", async () => {
    let now = 1_000_000;
    const clock = () => now;
    const before = open({ path: path(), clock });
    const write = { ttlMs: 1000, group: "g", value: bytes("x"), when: { type: "own", version: 0 } } as const;
    const put = await before.leases.put({ ...write, owner: "one", key: "k", lingerMs: 0 });
    await before.leases.put({ ...write, owner: "two", key: "session", lingerMs: 5000 });
    await before.leases.release("two");
    await before.close();
    now += 4999;
    const after = open({ path: path(), clock, sweepMs: 5 });
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
    const broker = open({ path: path(), maxFileBytes: 512 * 1024, retention, sweepMs: 5, clock: () => now });
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
    open({ path: path() });
    expect(() => openEmbeddedBroker({ path: path() })).toThrow(
      expect.objectContaining({ code: "STORE_IN_USE" }),
    );
  });

  test("of another program, of another version, of no database, or in no folder is refused with its name", async () => {
    const refused = (code: string, name: string) =>
      expect.objectContaining({ code, message: expect.stringContaining(name) });
    const [foreign, newer, text] = ["foreign.db", "newer.db", "text.db"].map((name) =>
      join(folder(), name),
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
    const nowhere = join(folder(), "nowhere", "log.db");
    expect(() => openEmbeddedBroker({ path: nowhere })).toThrow(refused("STORE_UNUSABLE", nowhere));
  });
});

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
