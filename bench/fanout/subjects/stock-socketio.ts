import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { answerHarness } from "../../child.ts";
import { ROOM, type ServerCalls } from "../calls.ts";
import { composePayload, sharedClock } from "../payload.ts";

// Stock Socket.IO as its documentation has it: the in-memory adapter, no option set.
const http = createServer();
const io = new Server(http);
io.on("connection", (socket) => {
  socket.join(ROOM);
});
http.listen(0, "127.0.0.1");
await once(http, "listening");

answerHarness<ServerCalls>({
  address: () => ({ port: (http.address() as AddressInfo).port, dialect: "room" }),
  publish: ({ first, count }) => {
    for (let number = first; number < first + count; number++) {
      io.to(ROOM).emit("message", composePayload(number, sharedClock()));
    }
    return undefined;
  },
});
