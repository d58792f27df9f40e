import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { openEmbeddedBroker } from "@holdfast/broker";
import { encodeMessage, Hub } from "@holdfast/hub";
import { bindChannels } from "@holdfast/socketio";
import { Server } from "socket.io";
import { answerHarness } from "../../child.ts";
import { ROOM, type ServerCalls } from "../calls.ts";
import { composePayload, sharedClock } from "../payload.ts";

// A whole node in one process: every message is appended to the broker's log, and is delivered from there. So the
// cost of the log is in the figure, though the peers keep none.
const http = createServer();
const io = new Server(http);
const broker = openEmbeddedBroker();
bindChannels(io, new Hub(broker, { node: "bench" }));
http.listen(0, "127.0.0.1");
await once(http, "listening");

answerHarness<ServerCalls>({
  address: () => ({ port: (http.address() as AddressInfo).port, dialect: "channel" }),
  publish: ({ first, count }) => {
    for (let number = first; number < first + count; number++) {
      const data = composePayload(number, sharedClock());
      // Not awaited, so that they are of one tick; a refusal ends the process, and so fails the run.
      void broker.publish(ROOM, encodeMessage({ event: "message", data }));
    }
    return undefined;
  },
});
