import { findFreePort } from "../free-port.ts";
import type { Run } from "../harness.ts";
import type { Measured, SubjectProcess } from "../subject-process.ts";
import type { LoadCalls, PodCalls, ProxyCalls } from "./calls.ts";
import { PEERS } from "./peers.ts";

const POD = new URL("./pod.ts", import.meta.url);
const LOAD = new URL("./load.ts", import.meta.url);

/** The proxies that are Node.js processes. */
export const NODE_SUBJECTS: ReadonlyMap<string, URL> = new Map([
  ["Holdfast", new URL("./subjects/holdfast.ts", import.meta.url)],
  ["http-proxy", new URL("./subjects/http-proxy.ts", import.meta.url)],
]);

/** Client connections that a proxy is set up for beyond those that a section says it opens. */
const SPARE_CONNECTIONS = 500;

/** One proxy between a pod and clients: three processes, fresh ones. */
export interface Rig {
  readonly proxy: Measured;
  readonly port: number;
  readonly load: SubjectProcess<LoadCalls>;
  /** Where the proxy is a Node.js process; elsewhere there is nothing to do. */
  collectGarbage(): Promise<void>;
  /** Ends all three; the run's end does so too. */
  stop(): Promise<void>;
}

/** @param connections the most that clients will have open at a time */
export async function startRig(run: Run, subject: string, connections: number): Promise<Rig> {
  const pod = await run.start<PodCalls>(POD, "load");
  const podPort = await pod.call("port", null);
  const { proxy, port, collectGarbage } = await startProxy(
    run,
    subject,
    podPort,
    connections + SPARE_CONNECTIONS,
  );
  const load = await run.start<LoadCalls>(LOAD, "load");
  return {
    proxy,
    port,
    load,
    collectGarbage,
    stop: async () => {
      await Promise.all([load.stop(), proxy.stop(), pod.stop()]);
    },
  };
}

async function startProxy(run: Run, subject: string, podPort: number, connections: number) {
  const peer = PEERS.get(subject);
  if (peer) {
    const port = await findFreePort();
    const proxy = await run.spawn(peer.command({ port, podPort, connections }), "server");
    return { port, proxy, collectGarbage: async () => {} };
  }
  const module = NODE_SUBJECTS.get(subject);
  if (!module) throw new RangeError(`no subject "${subject}"`);
  const proxy = await run.start<ProxyCalls>(module, "server");
  const port = await proxy.call("serve", { podPort });
  return { port, proxy, collectGarbage: () => proxy.call("collectGarbage", null) };
}
