import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { openBroker } from "@holdfast/broker";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { createHoldfast } from "@holdfast/socketio";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server, type ServerOptions } from "socket.io";
import { answerHarness } from "../child.ts";
import { type Connection, type NodeCalls, ROOM } from "./calls.ts";

const POLL_MS = 20;
/** The payload beside the number. */
const TEXT = "x".repeat(100);

let io: Server;
let joined = 0;
let sent = 0;
let timer: NodeJS.Timeout | undefined;

/** As the documentation of each has it, with `connectionStateRecovery` and nothing else. */
async function optionsFor(
  connection: Connection,
  url: string,
  name: string,
): Promise<Partial<ServerOptions>> {
  if (connection === "redis-streams-adapter") {
    const client = createClient({ url });
    client.on("error", (error) => process.stderr.write(`${error}\n`));
    return { adapter: createAdapter(await client.connect()) };
  }
  const broker = url.startsWith("redis:") ? connectRedisBroker(url) : openBroker(url);
  const holdfast = createHoldfast({ broker, node: name });
  await holdfast.ready;
  return { ...holdfast.options } as Partial<ServerOptions>;
}

answerHarness<NodeCalls>({
  open: async ({ url, name, connection }) => {
    const http = createServer();
    io = new Server(http, { ...(await optionsFor(connection, url, name)), connectionStateRecovery: {} });
    io.on("connection", async (socket) => {
      if (!socket.recovered) await socket.join(ROOM);
      joined++;
    });
    http.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 });
    await once(http, "listening");
    return { port: (http.address() as AddressInfo).port };
  },
  ready: async ({ servers, clients }) => {
    while (joined < clients || (await io.of("/").adapter.serverCount()) < servers) await pause(POLL_MS);
    return undefined;
  },
  publish: ({ perSecond }) => {
    timer = setInterval(() => io.to(ROOM).emit("message", sent++, TEXT), 1_000 / perSecond);
    return undefined;
  },
  stop: () => {
    clearInterval(timer);
    return sent;
  },
});
