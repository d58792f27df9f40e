import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Run } from "../harness.ts";
import type { Measured } from "../subject-process.ts";
import { startRig } from "./rig.ts";

/** Idle WebSockets that are there before memory is first read: what the first few need is needed once. */
const FIRST_IDLE = 0.01;

/** As parts of what is measured: what a kind of work needs is needed once. */
const WARM_UP_REQUESTS = 0.2;
const WARM_UP_CONNECTIONS = 0.1;

/** Files that a proxy has open besides its connections. */
const OTHER_FILES = 100;

/** Memory counts as settled when it changes by less than this from one reading to the next. */
const SETTLED_BYTES = 128 * 1024;
const SETTLE_POLL_MS = 400;
const SETTLE_POLLS = 12;

/** @returns bytes of the proxy's memory for each idle WebSocket, at both of its ends */
export async function measureIdle(subject: string, run: Run): Promise<number> {
  const connections = run.option("idle");
  requireFiles(2 * connections + OTHER_FILES);
  const { proxy, port, load, stop } = await startRig(run, subject, connections);
  const first = Math.ceil(connections * FIRST_IDLE);
  await load.call("hold", { port, connections: first });
  const before = await settledMemory(proxy);
  await load.call("hold", { port, connections: connections - first });
  const after = await settledMemory(proxy);
  await load.call("proveHeld", null);
  await stop();
  return (after - before) / (connections - first);
}

/** Bytes by which a proxy's memory grew, garbage apart. */
export interface Growth {
  readonly requests: number;
  readonly connections: number;
}

/** A proxy that is warm for it answers many requests, and then takes and loses many connections. */
export async function measureGrowth(subject: string, run: Run): Promise<Growth> {
  const requests = run.option("requests");
  const connections = run.option("connections");
  const clients = run.option("clients");
  const { proxy, port, load, collectGarbage, stop } = await startRig(run, subject, clients);
  const held = async () => {
    await collectGarbage();
    return await settledMemory(proxy);
  };
  await load.call("open", { port, dialect: "http", connections: clients });
  await load.call("exchange", { count: Math.ceil(requests * WARM_UP_REQUESTS) });
  const before = await held();
  await load.call("exchange", { count: requests });
  const afterRequests = await held();
  await load.call("close", null);
  await load.call("churn", { port, connections: Math.ceil(connections * WARM_UP_CONNECTIONS) });
  const between = await held();
  await load.call("churn", { port, connections });
  const after = await held();
  await stop();
  return { requests: afterRequests - before, connections: after - between };
}

async function settledMemory(proxy: Measured): Promise<number> {
  let last = await proxy.memory();
  for (let polls = 0; polls < SETTLE_POLLS; polls++) {
    await sleep(SETTLE_POLL_MS);
    const now = await proxy.memory();
    if (Math.abs(now - last) < SETTLED_BYTES) return now;
    last = now;
  }
  return last;
}

/** A process that runs out of files accepts nothing more, which would look like a proxy that hangs. */
function requireFiles(count: number): void {
  const limit = maxOpenFiles();
  if (limit >= count) return;
  throw new Error(
    `so many idle WebSockets take ${count} open files in one process, and ${limit} are allowed (ulimit -n): choose a smaller --idle`,
  );
}

function maxOpenFiles(): number {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
