import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test, vi } from "vitest";
import { LabProcess } from "../faults/lab-process.ts";

const root = join(import.meta.dirname, "..");

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** For temporary files of these labs alone: others on this machine come and go meanwhile. */
const temporary = mkdtempSync(join(tmpdir(), "holdfast-lifecycle-"));
vi.stubEnv("TMPDIR", temporary);
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(temporary, { recursive: true, force: true });
});

test("Ctrl-C ends everything within 3 s and leaves nothing behind", async () => {
  const lab = await LabProcess.start(["examples/chat"]);
  const pids = lab.pods().map((pod) => pod.pid);
  expect(pids.length).toBe(3);
  const started = performance.now();
  const code = await lab.interrupt();
  expect(performance.now() - started).toBeLessThan(3000);
  expect(code).toBe(0);
  expect(pids.filter(alive)).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
});

test("a lab killed with SIGKILL takes its pods with it and leaves nothing behind", async () => {
  const lab = await LabProcess.start(["examples/chat"]);
  const pids = lab.pods().map((pod) => pod.pid);
  lab.child.kill("SIGKILL");
  await expect.poll(() => pids.filter(alive), { timeout: 3000 }).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
});

test("npm start ends in a line with the address to open", async () => {
  const child = spawn("npm", ["start", "--silent", "--", "--port", "0"], { cwd: root, detached: true });
  try {
    const lines: string[] = [];
    const ready = new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        lines.push(line);
        if (/^Ready in/.test(line)) resolve(line);
      });
      child.on("close", (code) => reject(new Error(`npm start ended with ${code}:\n${lines.join("\n")}`)));
    });
    const line = await ready;
    const url = /Open (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
    expect(url).toBeDefined();
    const page = await (await fetch(`${url}`)).text();
    expect(page).toContain("<title>Holdfast chat</title>");
    // The table above it names the Ingress, its rules, the services with their affinity, and the pods.
    const table = lines.join("\n");
    for (const part of ["default/chat", "/api", "GENERATED_COOKIE", "chat-api"])
      expect(table).toContain(part);
  } finally {
    if (child.exitCode === null) {
      const exit = once(child, "exit");
      process.kill(-Number(child.pid), "SIGINT");
      await exit;
    }
  }
});
