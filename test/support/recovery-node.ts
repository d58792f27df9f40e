import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createHoldfast } from "@holdfast/socketio";
import { Server, type Socket } from "socket.io";
import { anyBroker } from "./brokers.ts";

/** One process of test/recovery.test.ts: a Socket.IO server over the broker that it is given. */
const [url = "", node = ""] = process.argv.slice(2);
const holdfast = createHoldfast({ broker: anyBroker(url), node });
const http = createServer();
const io = new Server(http, { ...holdfast.options, connectionStateRecovery: {} });
io.on("connection", (socket: Socket) => {
  socket.on("join", async (room: string, done: () => void) => {
    socket.data.joined = [...(socket.data.joined ?? []), room];
    await socket.join(room);
    done();
  });
  socket.on("state", (answer: (state: object) => void) => {
    answer({ rooms: [...socket.rooms].sort(), joined: socket.data.joined });
  });
});
http.listen(0, "127.0.0.1", async () => {
  await holdfast.ready;
  process.send?.((http.address() as AddressInfo).port);
});
process.on("disconnect", () => process.exit());
