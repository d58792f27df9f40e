import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureInstalled } from "../debian-package.ts";
import { findFreePort } from "../free-port.ts";
import type { Bench, Measurement, Run } from "../harness.ts";
import { findRow, type Row, type Target, target } from "../report.ts";
import type { Measured } from "../subject-process.ts";
import type { BrokerCalls, Publishing, WorkerCalls } from "./calls.ts";

/** An engine, and where it runs: in the process that uses it, in one of its own, or in Redis with such an append-only file. */
type Subject =
  | { readonly type: "inside"; readonly url: (folder: string) => string }
  | { readonly type: "beside"; readonly broker: URL }
  | { readonly type: "redis"; readonly appendfsync: "always" | "everysec" };

const FILE = "embedded, file";
const REDIS = "Redis synced each second";

const SUBJECTS: ReadonlyMap<string, Subject> = new Map<string, Subject>([
  ["embedded, memory", { type: "inside", url: () => "memory:" }],
  [FILE, { type: "inside", url: (folder) => `file:${join(folder, "log.db")}` }],
  ["served, file", { type: "beside", broker: new URL("./subjects/served.ts", import.meta.url) }],
  ["Redis synced at once", { type: "redis", appendfsync: "always" }],
  [REDIS, { type: "redis", appendfsync: "everysec" }],
]);
const WORKER = new URL("./worker.ts", import.meta.url);

const CALLS = 1000;
const MODES: ReadonlyMap<string, Omit<Publishing, "entries">> = new Map([
  ["one by one, 1 channel", { channels: 1, batch: 1, calls: CALLS }],
  ["one by one, 100 channels", { channels: 100, batch: 1, calls: CALLS }],
  ["in hundreds, 1 channel", { channels: 1, batch: 100, calls: 10 }],
  ["in hundreds, 100 channels", { channels: 100, batch: 100, calls: 10 }],
]);
const DURABLE = "one by one, 100 channels";
const BATCHED = "in hundreds, 1 channel";
const WARM_UP = 0.3;
const LEAST_DURABLE = 30_000;
const LEAST_BATCHED = 80_000;

/** A broker's log: what do publishing, delivering and going on from a position cost? */
export const log: Bench = {
  name: "log",
  summary:
    "publishes per second, their CPU time, delivery, and catching up, with 128-byte entries on each broker engine",
  subjects: [...SUBJECTS.keys()],
  sections: ["publish", "deliver", "catch-up", "idle"],
  runs: 3,
  options: {
    entries: { summary: "entries published in each mode", default: 100_000, max: 100_000_000 },
    deliveries: {
      summary: "entries published one after the other to a subscriber",
      default: 1000,
      max: 1_000_000,
    },
    subscribers: { summary: "subscribers that come back, 100 to a channel", default: 10_000, max: 1_000_000 },
    back: { summary: "entries that each of them has missed", default: 100, max: 10_000 },
    idle: { summary: "channels on which nothing happens", default: 10_000, max: 1_000_000 },
  },
  prepare: (subjects, onProgress) => {
    if (subjects.some((subject) => SUBJECTS.get(subject)?.type === "redis"))
      ensureInstalled([{ command: "redis-server", name: "redis-server" }], { onProgress });
  },
  measure,
  targets,
};

/** The broker's own process, where it has one. */
async function startBroker(
  subject: Subject,
  folder: string,
  run: Run,
): Promise<{ readonly url: string; readonly process: Measured | undefined }> {
  switch (subject.type) {
    case "inside":
      return { url: subject.url(folder), process: undefined };
    case "beside": {
      const broker = await run.start<BrokerCalls>(subject.broker, "server");
      return { url: await broker.call("url", null), process: broker };
    }
    case "redis": {
      const port = await findFreePort();
      const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", "{folder}", "--save", ""];
      args.push("--appendonly", "yes", "--appendfsync", subject.appendfsync);
      const broker = await run.spawn({ file: "redis-server", args, files: {}, port }, "server");
      return { url: `redis://127.0.0.1:${port}`, process: broker };
    }
  }
}

async function measure(name: string, run: Run): Promise<readonly Measurement[]> {
  const subject = SUBJECTS.get(name);
  if (!subject) throw new RangeError(`no subject "${name}"`);
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  try {
    const { url, process: broker } = await startBroker(subject, folder, run);
    const worker = await run.start<WorkerCalls>(WORKER, broker ? "load" : "server");
    await worker.call("open", url);
    const measurements: Measurement[] = [];
    const add = (metric: string, unit: string, value: number) => measurements.push({ metric, unit, value });

    if (run.wants("publish")) {
      for (const [mode, publishing] of MODES) {
        const entries = run.option("entries");
        await worker.call("publish", { ...publishing, entries: Math.ceil(entries * WARM_UP) });
        const measured = broker ?? worker;
        const before = await measured.cpuTime();
        const seconds = await worker.call("publish", { ...publishing, entries });
        add(perSecond(mode), "1/s", entries / seconds);
        add(`broker CPU per publish, ${mode}`, "µs", ((await measured.cpuTime()) - before) / entries);
      }
    }
    if (run.wants("deliver")) {
      const entries = run.option("deliveries");
      await worker.call("deliver", { entries: Math.ceil(entries * WARM_UP) });
      const { p50, p99 } = await worker.call("deliver", { entries });
      add("publish to delivery p50", "ms", p50);
      add("publish to delivery p99", "ms", p99);
    }
    if (run.wants("catch-up")) {
      const [subscribers, back] = [run.option("subscribers"), run.option("back")];
      const channels = Math.ceil(subscribers / 100);
      add("catch-up of all subscribers", "s", await worker.call("catchUp", { subscribers, channels, back }));
    }
    if (run.wants("idle"))
      add("heap per idle channel", "bytes", await worker.call("idle", { channels: run.option("idle") }));
    return measurements;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** At least so many a second is at most so many microseconds each. */
function targets(rows: readonly Row[]): readonly Target[] {
  const held: readonly (readonly [subject: string, mode: string, least: number])[] = [
    [FILE, DURABLE, LEAST_DURABLE],
    [REDIS, BATCHED, LEAST_BATCHED],
  ];
  return held
    .filter(([name, mode]) =>
      rows.some(({ subject, metric }) => subject === name && metric === perSecond(mode)),
    )
    .map(([name, mode, least]) => {
      const { median } = findRow(rows, name, perSecond(mode));
      return target(`time per durable publish, ${mode}: ${name}`, 1e6 / median, 1e6 / least, "µs");
    });
}

function perSecond(mode: string): string {
  return `publishes per second, ${mode}`;
}
