import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { findBinary } from "../../packages/broker-redis/test/redis-server.ts";
import type { Row } from "../report.ts";
import { runCommand } from "../testing/command.ts";
import { expectReportShape } from "../testing/report-shape.ts";

let folder: string;

beforeEach(() => {
  findBinary("redis-server");
  folder = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  vi.stubEnv("TMPDIR", folder);
}, 60_000);

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Measures once, little of everything. */
async function measure(...options: readonly string[]): Promise<{ rows: Row[]; targets: unknown[] }> {
  const few = { entries: 500, deliveries: 10, subscribers: 50, back: 20, idle: 100, messages: 400, nodes: 2 };
  const little = Object.entries(few).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const { code, stdout, stderr } = await runCommand("log", "--json", "--runs", "1", ...little, ...options);
  expect(code, stderr).toBe(0);
  const output = JSON.parse(stdout) as { rows: Row[]; targets: unknown[] };
  expectReportShape(output);
  for (const { median } of output.rows) expect(median).toBeGreaterThan(0);
  return output;
}

it("measures every engine, and leaves no file behind", async () => {
  const { rows, targets } = await measure("--only", "publish,deliver,catch-up,idle");
  const subjects = [
    "embedded in memory",
    "embedded in a file",
    "served from a file",
    "Redis synced at once",
    "Redis synced each second",
    "NATS",
  ];
  expect([...new Set(rows.map(({ subject }) => subject))]).toEqual(subjects);
  // Of the four whose broker is another process, the publisher's CPU time in each mode, too.
  expect(rows).toHaveLength(subjects.length * 12 + 4 * 4);
  expect(targets).toHaveLength(2);
  expect(readdirSync(folder)).toEqual([]);
}, 60_000);

it("finds that a node on Redis receives only its own channels, and one of Socket.IO's adapters everybody's", async () => {
  const [holdfast, peer] = ["Redis synced each second", "Socket.IO redis-adapter"];
  const { rows, targets } = await measure("--only", "spread", "--subjects", `${holdfast},${peer}`);
  const growthOf = (name: string) => {
    const [alone, spread] = rows.filter(({ subject }) => subject === name).map(({ median }) => median);
    return (spread ?? Number.NaN) / (alone ?? Number.NaN);
  };
  expect(growthOf(holdfast)).toBeLessThan(1.3);
  expect(growthOf(peer)).toBeGreaterThan(1.7);
  expect(targets).toHaveLength(2);
}, 60_000);
