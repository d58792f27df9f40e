import { join } from "node:path";
import { type DebianPackage, ensureInstalled } from "../debian-package.ts";
import { findFreePort } from "../free-port.ts";
import type { Run } from "../harness.ts";
import type { Measured } from "../subject-process.ts";
import type { BrokerCalls } from "./calls.ts";
import type { Adapter } from "./spread/calls.ts";

export interface Subject {
  /** What it needs of the machine. */
  readonly needs?: DebianPackage;
  /** A peer, which has no log: it is there for what its nodes receive. Absent: a broker engine. */
  readonly adapter?: Adapter;
  start(run: Run): Promise<StartedBroker>;
}

export interface StartedBroker {
  readonly url: string;
  /** Absent: it runs in the process that uses it. */
  readonly process?: Measured;
}

export const FILE = "embedded in a file";
export const SERVED = "served from a file";
export const REDIS = "Redis synced each second";

/** What is measured, in this order: another engine is a line here, and one in `engine.ts`. */
export const SUBJECTS: ReadonlyMap<string, Subject> = new Map<string, Subject>([
  ["embedded in memory", { start: async () => ({ url: "memory:" }) }],
  [FILE, { start: async (run) => ({ url: `file:${join(run.folder(), "log.db")}` }) }],
  [SERVED, { start: serve }],
  ["Redis synced at once", redis("always")],
  [REDIS, redis("everysec")],
  ["NATS", { needs: { command: "nats-server", name: "nats-server" }, start: nats }],
  ["Socket.IO redis-adapter", { ...redis("everysec"), adapter: "redis" }],
  ["Socket.IO redis-adapter sharded", { ...redis("everysec"), adapter: "redis, sharded" }],
  ["Socket.IO redis-streams-adapter", { ...redis("everysec"), adapter: "redis streams" }],
]);

/** Gets ready what the subjects of these names need of the machine. */
export function prepare(names: readonly string[], onProgress: (line: string) => void): void {
  const needed = names.map((name) => SUBJECTS.get(name)?.needs).filter((need) => need !== undefined);
  const byName = new Map(needed.map((need) => [need.name, need]));
  ensureInstalled([...byName.values()], { onProgress });
}

async function serve(run: Run): Promise<StartedBroker> {
  const broker = await run.start<BrokerCalls>(new URL("./served.ts", import.meta.url), "server");
  return { url: await broker.call("serve", { folder: run.folder() }), process: broker };
}

/** One server with an append-only file. */
function redis(appendfsync: "always" | "everysec"): Subject {
  return {
    needs: { command: "redis-server", name: "redis-server" },
    start: async (run) => {
      const port = await findFreePort();
      const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", "{folder}", "--save", ""];
      args.push("--appendonly", "yes", "--appendfsync", appendfsync);
      const process = await run.spawn({ file: "redis-server", args, files: {}, port }, "server");
      return { url: `redis://127.0.0.1:${port}`, process };
    },
  };
}

/** One server with JetStream, which syncs each two minutes. */
async function nats(run: Run): Promise<StartedBroker> {
  const port = await findFreePort();
  const args = ["-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", "{folder}"];
  const process = await run.spawn({ file: "nats-server", args, files: {}, port }, "server");
  return { url: `nats://127.0.0.1:${port}`, process };
}
