import { Link } from "./link.ts";
import { LocalDataPlane } from "./local-data-plane.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

// The program of a worker process: an ingress that does as the primary process says, and ends with it.

/** What another worker is asked for comes back within this, or not at all. */
const ASK_OTHERS_MS = 1000;

let plane: LocalDataPlane | undefined;
let graceMs = 0;

const link = new Link<FromWorker, ToWorker>(process, (message) => {
  if (message.type === "start") {
    graceMs = message.graceMs;
    plane = new LocalDataPlane(message.settings, (backendService, sid) =>
      link.ask({ type: "owner-of-session", backendService, sid }, ASK_OTHERS_MS),
    );
    return undefined;
  }
  if (!plane) throw new Error("a worker is told to start first");
  switch (message.type) {
    case "apply":
      return plane.apply(message.model);
    case "endpoints":
      return plane.setEndpoints(message.backendService, message.endpoints);
    case "listen":
      return plane.listen(message.options);
    case "unlisten":
      return plane.unlisten(message.options);
    case "close":
      return end(message.graceMs);
    case "metrics":
      return plane.metrics();
    case "owner-of-session":
      return plane.ingress.ownerOfSession(message.backendService, message.sid);
  }
});

// A terminal and a supervisor signal the whole group of processes; when to stop is the primary's to say.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("disconnect", () => void end(graceMs));

async function end(withinMs: number): Promise<void> {
  await plane?.close({ graceMs: withinMs });
  process.exit(0);
}
