import { DatabaseSync } from "node:sqlite";
import { describe, expect, test, vi } from "vitest";
import { embeddedFile, swept } from "../test/embedded-file.ts";
import { bytes, record, WAIT } from "../test/feed.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import type { Broker } from "./port.ts";

const { path, open, rows } = embeddedFile();

function fail(): never {
  throw new Error("there is no such listener");
}

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
    const broker = open({ path: path(), clock: () => now, sweepMs: 5 });
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
      path: path(),
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
