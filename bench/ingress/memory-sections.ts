import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Run } from "../harness.ts";
import type { Measured } from "../subject-process.ts";
import { startRig } from "./rig.ts";

/** Idle WebSockets that are there before memory is first read: what the first few need is needed once. */
const FIRST_IDLE = 0.01;

/**
 * Work is done in so many rounds, and one before memory is first read. Garbage is collected after each: what lies about
 * before the runtime collects it is not growth, but the C library keeps the most that it ever came to.
 */
const ROUNDS = 5;

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
  const clients = run.option("clients");
  const { proxy, port, load, collectGarbage, stop } = await startRig(run, subject, clients);
  const growthOver = async (round: () => Promise<unknown>) => {
    let before = 0;
    for (let done = 0; done <= ROUNDS; done++) {
      await round();
      await collectGarbage();
      if (done === 0) before = await settledMemory(proxy);
    }
    return (await settledMemory(proxy)) - before;
  };

  await load.call("open", { port, dialect: "http", connections: clients });
  const count = Math.ceil(run.option("requests") / ROUNDS);
  const requests = await growthOver(() => load.call("exchange", { count }));
  await load.call("close", null);
  const connections = Math.ceil(run.option("connections") / ROUNDS);
  const growth = await growthOver(() => load.call("churn", { port, connections }));
  await stop();
  return { requests, connections: growth };
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
