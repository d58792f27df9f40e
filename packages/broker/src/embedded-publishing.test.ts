import { DatabaseSync } from "node:sqlite";
import { describe, expect, test, vi } from "vitest";
import { embeddedFile } from "../test/embedded-file.ts";
import { bytes, logOf, record, textOf } from "../test/feed.ts";

const { path, open } = embeddedFile();

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
    const broker = open({ path: path() });
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
    const broker = open({ path: path() });
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
    const broker = open({ path: path() });
    const publishing = broker.publish("c", bytes("last"));
    await broker.close();
    expect(await publishing).toMatchObject({ position: { offset: 1 } });
    expect((await logOf(open({ path: path() }), "c")).map(textOf)).toEqual(["last"]);
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
