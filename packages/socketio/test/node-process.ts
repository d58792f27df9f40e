import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connectBroker } from "@holdfast/broker";
import { Server } from "socket.io";
import { createHoldfast } from "../src/holdfast.ts";

/** A Socket.IO server in a process of its own, for a test to kill or to stop. */
const [url = "", node = "", address] = process.argv.slice(2);
const holdfast = createHoldfast({ broker: connectBroker(url), node, ...(address && { address }) });
const http = createServer();
const io = new Server(http, { ...holdfast.options });
io.on("connection", (socket) => void socket.join("r"));
io.on("name", (answer: (name: string) => void) => answer(node));
http.listen(0, "127.0.0.1", async () => {
  await holdfast.ready;
  process.send?.((http.address() as AddressInfo).port);
});
process.on("disconnect", () => process.exit());
