import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type ServerOptions } from "socket.io";

/**
 * What has one order that is the same for all clients: the packets of each room by itself, those of all rooms that go to one
 * room, or also those that go to several rooms at a time.
 */
export type CommonOrder = "one-room" | "all-rooms" | "all-copies";

/** The servers that a program is run on. */
export interface Fleet {
  /** The server that plays a node: the same one for all of them where there is one only. */
  server(node: number): Server;
  url(node: number): string;
  /** Whether one server plays all nodes. */
  readonly single: boolean;
  /** What they promise. */
  readonly order: CommonOrder;
  close(): Promise<void>;
}

export interface FleetOptions {
  readonly nodes: number;
  readonly recovery: boolean;
  readonly deflate: boolean;
}

/** One Socket.IO server on a port of its own. */
export async function startServer(
  { recovery, deflate }: FleetOptions,
  options: Partial<ServerOptions> = {},
): Promise<{ readonly io: Server; readonly url: string }> {
  const http = createServer();
  const io = new Server(http, {
    ...(recovery && { connectionStateRecovery: {} }),
    // Also what is small, so that it makes a difference whether it is to be compressed.
    ...(deflate && { perMessageDeflate: { threshold: 0 } }),
    ...options,
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return { io, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
}

/** What the others are compared with: stock Socket.IO on one server. */
export async function startStock(options: FleetOptions): Promise<Fleet> {
  const { io, url } = await startServer(options);
  return { server: () => io, url: () => url, single: true, order: "all-copies", close: () => io.close() };
}
