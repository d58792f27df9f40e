import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { logOf, textOf } from "../test/feed.ts";
import { openEmbeddedBroker } from "./embedded.ts";

const MODULE = new URL("./mod.ts", import.meta.url).href;

/** Publishes to three channels, one by one and in batches, and writes a line for each publish once it is accepted. */
const PUBLISHER = `
  import { writeSync } from "node:fs";
  import { openEmbeddedBroker } from ${JSON.stringify(MODULE)};
  const broker = openEmbeddedBroker({ path: process.argv[1] });
  let next = Number(process.argv[2]);
  async function publish(channel) {
    for (;;) {
      const content = String(next++);
      const { position } = await broker.publish(channel, new TextEncoder().encode(content.padEnd(500)));
      writeSync(1, [channel, position.offset, position.tag, position.epoch, content].join(" ") + "\\n");
    }
  }
  async function publishAll() {
    for (;;) {
      const contents = ["x", "y", "z", "x", "y"].map((channel) => [channel, String(next++)]);
      const batch = contents.map(([channel, content]) => ({ channel, data: new TextEncoder().encode(content.padEnd(500)) }));
      for (const [n, { position }] of (await broker.publishAll(batch)).entries())
        writeSync(1, [contents[n][0], position.offset, position.tag, position.epoch, contents[n][1]].join(" ") + "\\n");
    }
  }
  for (const channel of ["x", "y", "z"]) for (let n = 0; n < 10; n++) void publish(channel);
  for (let n = 0; n < 3; n++) void publishAll();
`;

test("keeps every accepted entry through SIGKILL, again and again", { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-kill-"));
  const path = join(folder, "log.db");
  const accepted: string[] = [];
  for (let round = 0; round < 3; round++) {
    const child = spawn(
      process.execPath,
      ["--input-type=module", "-e", PUBLISHER, path, `${round * 1_000_000}`],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const lines = createInterface({ input: child.stdout });
    const until = accepted.length + 500 + Math.floor(Math.random() * 500);
    lines.on("line", (line) => {
      accepted.push(line);
      if (accepted.length === until) child.kill("SIGKILL");
    });
    const [[, signal]] = await Promise.all([once(child, "exit"), once(lines, "close")]);
    expect(signal).toBe("SIGKILL");
  }
  const broker = openEmbeddedBroker({ path });
  const kept = new Set<string>();
  for (const channel of ["x", "y", "z"]) {
    const log = await logOf(broker, channel);
    const { head } = await broker.history(channel, { limit: 0 });
    expect(log.map(({ offset }) => offset)).toEqual(log.map((_, n) => n + 1));
    for (const entry of log)
      kept.add([channel, entry.offset, entry.tag, head.epoch, textOf(entry).trim()].join(" "));
  }
  expect(accepted.filter((line) => !kept.has(line))).toEqual([]);
  await broker.close();
  expect(await readdir(folder)).toEqual(["log.db"]);
  await rm(folder, { recursive: true });
});

test("writes nothing to the terminal of the process that it lives in", async () => {
  const code = `
    import { openEmbeddedBroker } from ${JSON.stringify(MODULE)};
    const broker = openEmbeddedBroker();
    await broker.publish("c", new Uint8Array(1));
  `;
  // It is not closed: its timers alone must not keep the process either.
  // Node 22 itself warns of node:sqlite; silencing that is for the program that is run, with this same flag.
  const flags = process.version.startsWith("v22.") ? ["--disable-warning=ExperimentalWarning"] : [];
  const child = spawn(process.execPath, [...flags, "--input-type=module", "-e", code]);
  const written: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => written.push(String(chunk)));
  expect(await once(child, "close")).toEqual([0, null]);
  expect(written).toEqual([]);
});
