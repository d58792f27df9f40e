import type { Run } from "../harness.ts";
import { requireFiles, settledMemory } from "../settled-memory.ts";
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
