import type { RunningServer } from "@holdfast/server";
import { EXIT } from "./errors.ts";
import { stopped, stopSignal } from "./stop-signal.ts";

/** Runs one of the deployables until it is told to stop, as Kubernetes does with SIGTERM. */
export async function runServer(start: () => Promise<RunningServer>): Promise<number> {
  const stop = stopSignal();
  const server = await start();
  await stopped(stop);
  await server.close();
  return EXIT.OK;
}
