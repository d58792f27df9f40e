import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { openEmbeddedBroker } from "@holdfast/broker";
import { encodeMessage, Hub } from "@holdfast/hub";
import { bindChannels, FanOut } from "@holdfast/socketio";
import { Server } from "socket.io";
import { answerHarness } from "../../child.ts";
import { ROOM, type ServerCalls } from "../calls.ts";
import { composePayload, sharedClock } from "../payload.ts";

// A whole node in one process: every message is appended to the broker's log, and is delivered from there. So the
// cost of the log is in the figure, though the peers keep none.
const http = createServer();
// None of the subscribers is slow, so either would be a mistake, which ends the process and so fails the run.
const fail = (reason: unknown) => {
  throw new Error(`the fan-out: ${reason}`);
};
const fanOut = new FanOut({ maxQueuedBytes: 1_048_576, onSlow: () => fail("slow"), onMisfit: fail });
const io = new Server(http, { wsEngine: fanOut.wsEngine });
const broker = openEmbeddedBroker();
bindChannels(io, new Hub(broker, { node: "bench" }), { fanOut });
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
