import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type ServerOptions } from "socket.io";
import { answerHarness } from "../child.ts";
import { collectGarbage } from "../garbage.ts";
import type { ServerCalls } from "./calls.ts";

/** A Socket.IO server as its documentation has it, with these options and one listener for each socket. */
export async function serve(options: Partial<ServerOptions>): Promise<void> {
  const http = createServer();
  const io = new Server(http, options);
  io.on("connection", (socket) => {
    socket.on("message", () => {});
  });
  // A burst of connections waits its turn.
  http.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 });
  await once(http, "listening");
  answerHarness<ServerCalls>({
    address: () => ({ port: (http.address() as AddressInfo).port }),
    sockets: () => io.sockets.sockets.size,
    heap: async () => {
      await collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },
  });
}
