import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { createHoldfast } from "@holdfast/socketio";
import { createAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server, type ServerOptions } from "socket.io";
import { answerHarness } from "../../child.ts";
import { ROOM } from "../calls.ts";
import { composePayload, sharedClock } from "../payload.ts";
import type { Connection, NodeCalls } from "./calls.ts";

const POLL_MS = 20;

let io: Server;
let joined = 0;

async function connectRedis(url: string) {
  const client = createClient({ url });
  client.on("error", (error) => process.stderr.write(`${error}\n`));
  return await client.connect();
}

/** As the documentation of each has it, no option set. */
async function optionsFor(
  connection: Connection,
  url: string,
  name: string,
): Promise<Partial<ServerOptions>> {
  if (connection === "Holdfast") {
    const holdfast = createHoldfast({ broker: connectRedisBroker(url), node: name });
    await holdfast.ready;
    return { ...holdfast.options } as Partial<ServerOptions>;
  }
  const client = await connectRedis(url);
  if (connection === "redis-streams-adapter") return { adapter: createStreamsAdapter(client) };
  return { adapter: createAdapter(client, await connectRedis(url)) };
}

answerHarness<NodeCalls>({
  open: async ({ url, name, connection }) => {
    const http = createServer();
    io = new Server(http, await optionsFor(connection, url, name));
    io.on("connection", async (socket) => {
      await socket.join(ROOM);
      joined++;
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    return { port: (http.address() as AddressInfo).port };
  },
  ready: async ({ servers, clients }) => {
    while (joined < clients || (await io.of("/").adapter.serverCount()) < servers) await pause(POLL_MS);
    return undefined;
  },
  publish: ({ first, count }) => {
    for (let number = first; number < first + count; number++) {
      io.to(ROOM).emit("message", composePayload(number, sharedClock()));
    }
    return undefined;
  },
});
