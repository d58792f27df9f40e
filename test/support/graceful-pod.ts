/**
 * A small server of HTTP and WebSocket that ends the way a program on Kubernetes should, or the way most do. Started
 * with its address, its name and how it ends:
 *
 * `announced`: from SIGTERM on each answer says `Connection: close`, while it goes on serving; when it is told that it
 * may `leave` (what a preStop hook's sleep stands for), it stops accepting and ends with its last request.
 * `plain`: at SIGTERM it stops accepting and closes idle connections at once, as `server.close()` does.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { WebSocketServer } from "ws";

const [address, name, ending] = process.argv.slice(2);
const POLL_MS = 100;
let closing = false;

const server = createServer(async (request, response) => {
  response.setHeader("Pod", name ?? "");
  const body = await text(request);
  if (request.url?.startsWith("/poll")) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  if (closing && ending === "announced") response.setHeader("Connection", "close");
  response.end(request.method === "POST" ? body : name);
});
// GKE keeps idle connections for 600 s; a pod that closes them earlier would race with it.
server.keepAliveTimeout = 620_000;
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => socket.on("message", (message) => socket.send(message)));

function leave(): void {
  for (const socket of sockets.clients) socket.close(1001);
  server.close(() => process.exit(0));
  // What is left are connections that no request comes on any more.
  setInterval(() => server.closeIdleConnections(), 20);
}

process.on("SIGTERM", () => {
  closing = true;
  process.send?.("closing");
  if (ending === "plain") leave();
});
process.on("message", leave);
process.once("disconnect", () => process.exit(1));
server.listen(0, address, () => process.send?.((server.address() as AddressInfo).port));
