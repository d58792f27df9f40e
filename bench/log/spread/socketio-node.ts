import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { answerHarness } from "../../child.ts";
import { receivedBytes } from "../../received-bytes.ts";
import type { Adapter, NodeCalls } from "./calls.ts";
import { composeMessage, Inbox } from "./inbox.ts";

let io: Server;
let port: number;
let inbox: Inbox;

async function connectRedis(url: string) {
  const client = createClient({ url });
  client.on("error", (error) => process.stderr.write(`${error}\n`));
  return await client.connect();
}

/** As the adapters' documentation has it, no option set. */
async function openAdapter(adapter: Adapter, url: string) {
  const client = await connectRedis(url);
  if (adapter === "redis streams") return createStreamsAdapter(client);
  const create = adapter === "redis" ? createAdapter : createShardedAdapter;
  return create(client, await connectRedis(url));
}

function publishTo(channels: readonly string[], number?: number): void {
  for (const channel of channels) io.to(channel).emit("message", composeMessage(channel, number));
}

answerHarness<NodeCalls>({
  open: async ({ url, channels, adapter }) => {
    if (!adapter) throw new TypeError("Socket.IO's servers are connected by an adapter");
    const http = createServer();
    io = new Server(http, { adapter: await openAdapter(adapter, url) });
    io.on("connection", (socket) => socket.join([...channels]));
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    ({ port } = http.address() as AddressInfo);
    inbox = new Inbox(channels);
    // One client is in all rooms of its server: what it is sent is not counted, only what the server is sent for it.
    const client = connect(`http://127.0.0.1:${port}`, { transports: ["websocket"] });
    client.on("message", (message: string) => inbox.take(message));
    await new Promise<void>((resolve) => client.once("connect", resolve));
  },
  publish: async ({ channels, first, count }) => {
    for (let number = first; number < first + count; number++) {
      publishTo(channels, number);
      await turn();
    }
  },
  probe: ({ channels }) => {
    publishTo(channels);
  },
  follows: async () => {
    await inbox.follows();
  },
  delivered: async ({ number }) => {
    await inbox.delivered(number);
  },
  receivedBytes: () => receivedBytes(port),
});
