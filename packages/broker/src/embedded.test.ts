import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { bytes, logOf, record, textOf, WAIT } from "../test/feed.ts";
import { type EmbeddedBrokerOptions, openEmbeddedBroker } from "./embedded.ts";
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
    await swept();
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
    await swept();
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
    await swept();
    expect((await broker.history("idle", { since: position })).type).toBe("page");
    now += 10_000;
    await swept();
    expect(await broker.history("idle", { since: position })).toMatchObject({ reason: "epoch" });
    expect((await broker.history("followed", {})).head).toEqual(head);
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
async function swept(): Promise<void> {
  const spy = vi.spyOn(DatabaseSync.prototype, "exec");
  // The broker itself commits nothing meanwhile, so each commit here is a sweep's.
  await vi.waitFor(
    () => expect(spy.mock.calls.filter(([sql]) => sql === "COMMIT").length).toBeGreaterThan(30),
    WAIT,
  );
  spy.mockRestore();
}
