import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { type EmbeddedBrokerOptions, openEmbeddedBroker } from "../src/embedded.ts";
import type { Broker } from "../src/port.ts";
import { WAIT } from "./feed.ts";
import { keeper } from "./keeper.ts";

/** A folder for each of a file's tests, and the brokers opened in it. To be called once, where the tests are declared. */
export function embeddedFile() {
  const keep = keeper();
  afterEach(() => vi.restoreAllMocks());
  let current: string;
  beforeEach(async () => {
    const made = await mkdtemp(join(tmpdir(), "holdfast-embedded-"));
    current = keep(made, () => rm(made, { recursive: true }));
  });
  const folder = () => current;
  /** Of the broker's file. */
  const path = () => join(current, "log.db");

  function open(options: EmbeddedBrokerOptions = {}): Broker {
    const broker = openEmbeddedBroker(options);
    return keep(broker, () => broker.close());
  }

  /** How many rows a table of the closed broker's file has. */
  function rows(table: string): number {
    const database = new DatabaseSync(path(), { readOnly: true });
    const row = database.prepare(`SELECT count(*) AS count FROM ${table}`).get();
    database.close();
    return Number(row?.count);
  }

  return { folder, path, open, rows };
}

/** Waits until everything that is due was swept: for many sweeps, each of which takes a batch. */
export async function swept(broker: Broker): Promise<void> {
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
