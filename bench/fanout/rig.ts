import { findFreePort } from "../free-port.ts";
import type { Run } from "../harness.ts";
import type { Measured, SubjectProcess } from "../subject-process.ts";
import type { Dialect, LoadCalls, ServerCalls } from "./calls.ts";
import { NchanPublisher, nchan } from "./nchan.ts";
import { composePayload, sharedClock } from "./payload.ts";
import { type Publisher, Pump } from "./pump.ts";

const LOAD = new URL("./load.ts", import.meta.url);

export const NCHAN = "nchan";

/** The servers that are Node.js processes. */
export const NODE_SUBJECTS: ReadonlyMap<string, URL> = new Map([
  ["stock Socket.IO", new URL("./subjects/stock-socketio.ts", import.meta.url)],
  ["ws loop", new URL("./subjects/ws-loop.ts", import.meta.url)],
  ["Holdfast", new URL("./subjects/holdfast.ts", import.meta.url)],
]);

/** One server with all subscribers of one room: fresh processes. */
export interface Rig {
  readonly server: Measured;
  readonly load: SubjectProcess<LoadCalls>;
  readonly pump: Pump;
}

export async function startRig(run: Run, subject: string, clients: number): Promise<Rig> {
  const { server, publisher, address } = await startServer(run, subject, clients);
  const load = await run.start<LoadCalls>(LOAD, "load");
  await load.call("connect", { ...address, clients });
  return { server, load, pump: new Pump(publisher, load) };
}

interface Started {
  readonly server: Measured;
  readonly publisher: Publisher;
  readonly address: { readonly port: number; readonly dialect: Dialect };
}

async function startServer(run: Run, subject: string, clients: number): Promise<Started> {
  if (subject === NCHAN) return startNchan(run, clients);
  const module = NODE_SUBJECTS.get(subject);
  if (!module) throw new RangeError(`no subject "${subject}"`);
  const server = await run.start<ServerCalls>(module, "server");
  const { failure } = server;
  const publisher: Publisher = { publish: (batch) => server.tell("publish", batch), failure };
  return { server, publisher, address: await server.call("address", null) };
}

async function startNchan(run: Run, clients: number): Promise<Started> {
  const port = await findFreePort();
  const server = await run.spawn(nchan(port, clients), "server");
  const http = new NchanPublisher(port);
  const publisher: Publisher = {
    publish: ({ first, count }) => {
      for (let number = first; number < first + count; number++) {
        http.publish(composePayload(number, sharedClock()));
      }
    },
    failure: Promise.race([server.failure, http.failure]),
  };
  publisher.failure.catch(() => {});
  return { server, publisher, address: { port, dialect: "frames" } };
}
