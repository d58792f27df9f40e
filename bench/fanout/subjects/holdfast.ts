import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { openEmbeddedBroker } from "@holdfast/broker";
import { createHoldfast } from "@holdfast/socketio";
import { Server } from "socket.io";
import { answerHarness } from "../../child.ts";
import { ROOM, type ServerCalls } from "../calls.ts";
import { composePayload, sharedClock } from "../payload.ts";

// A whole node in one process: every message is appended to the broker's log, and is delivered from there. So the
// cost of the log is in the figure, though the peers keep none.
const broker = openEmbeddedBroker();
const holdfast = createHoldfast({
  broker,
  node: "bench",
  onEvent: (event) => {
    if (event.type !== "ready") throw new Error(`the node told of "${event.type}"`, { cause: event });
  },
});
const http = createServer();
const io = new Server(http, { ...holdfast.options });
io.on("connection", (socket) => {
  void socket.join(ROOM);
});
http.listen(0, "127.0.0.1");
await once(http, "listening");
await holdfast.ready;

answerHarness<ServerCalls>({
  address: () => ({ port: (http.address() as AddressInfo).port, dialect: "room" }),
  publish: ({ first, count }) => {
    for (let number = first; number < first + count; number++) {
      io.to(ROOM).emit("message", composePayload(number, sharedClock()));
    }
    return undefined;
  },
});
