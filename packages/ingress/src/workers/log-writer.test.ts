import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RefusedEvent } from "../events.ts";
import { LogWriter } from "./log-writer.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-log-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const event = (status: number): RefusedEvent => ({
  type: "refused",
  loadBalancer: "default/web",
  client: "192.0.2.1",
  cause: "head-timeout",
  status,
});

test("writes every event as a line, in order", async () => {
  const file = join(folder, "log");
  const fd = openSync(file, "w");
  const writer = new LogWriter("json", fd);
  for (let count = 0; count < 1000; count++) writer.write(event(count));
  await writer.flush();
  closeSync(fd);
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).status)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
});

test("drops lines when nobody reads, rather than keep them all or make anybody wait", async () => {
  const reader = spawn("sleep", ["60"], { stdio: ["pipe", "ignore", "ignore"] });
  const fd = (reader.stdin as unknown as { _handle: { fd: number } })._handle.fd;
  const writer = new LogWriter("text", fd);
  for (let count = 0; count < 50_000; count++) writer.write(event(count));
  await vi.waitFor(() => expect(writer.dropped).toBeGreaterThan(1000));
  expect(writer.dropped).toBeLessThan(50_000);
  reader.kill("SIGKILL");
  // With the reader gone there is an end of it.
  await writer.flush();
});
