import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type Namespace, Server, type ServerOptions, type Socket } from "socket.io";
import { Adapter } from "socket.io-adapter";
import { FanOut, type FanOutOptions } from "../src/fan-out/fan-out.ts";
import {
  broadcastLocally,
  localRecipients,
  type Packet,
  type Recipients,
} from "../src/fan-out/local-broadcast.ts";
import { encoderOf, notifyOutgoing } from "../src/stock.ts";

export interface FanOutServer {
  readonly io: Server;
  readonly fanOut: FanOut;
  readonly url: string;
  readonly misfits: string[];
  readonly slow: { readonly id: string; readonly queuedBytes: number }[];
  /** The next socket that connects with `auth: { name }`. */
  socket(name: string): Promise<Socket>;
  close(): Promise<void>;
}

interface StartOptions {
  /** To nobody but Socket.IO. */
  readonly stock?: boolean;
  /** Over HTTPS. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** A Socket.IO server whose adapter hands what is broadcast to a fan-out. */
export async function startServer(
  options: Partial<ServerOptions> = {},
  fanOutOptions: Partial<FanOutOptions> & StartOptions = {},
): Promise<FanOutServer> {
  const misfits: string[] = [];
  const slow: { id: string; queuedBytes: number }[] = [];
  const { stock, tls, ...rest } = fanOutOptions;
  const fanOut = new FanOut({
    maxQueuedBytes: 1_048_576,
    onSlow: ({ id }, queuedBytes) => slow.push({ id, queuedBytes }),
    onMisfit: (reason) => misfits.push(reason),
    ...rest,
  });
  const http = tls ? createSecureServer(tls) : createServer();
  const own = stock ? {} : { wsEngine: fanOut.wsEngine, adapter: adapterOf(fanOut) };
  const io = new Server(http, { ...own, ...options } as Partial<ServerOptions>);
  fanOut.watch(io.sockets);
  const connected = new Map<string, PromiseWithResolvers<Socket>>();
  const of = (name: string) => {
    const known = connected.get(name) ?? Promise.withResolvers<Socket>();
    connected.set(name, known);
    return known;
  };
  io.on("connection", (socket) => of(socket.handshake.auth.name).resolve(socket));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    ...{ io, fanOut, misfits, slow },
    url: `${tls ? "https" : "http"}://127.0.0.1:${(http.address() as AddressInfo).port}`,
    socket: (name) => of(name).promise,
    close: async () => {
      await io.close();
      fanOut.close();
    },
  };
}

function adapterOf(fanOut: FanOut) {
  return class extends Adapter {
    /** As Holdfast's own adapter does it: the same array until somebody comes or leaves. */
    readonly #groups = new Map<string, readonly Socket[]>();

    override addAll(id: string, rooms: Set<string>): void {
      super.addAll(id, rooms);
      this.#groups.clear();
    }

    override del(id: string, room: string): void {
      super.del(id, room);
      this.#groups.clear();
    }

    override delAll(id: string): void {
      super.delAll(id);
      this.#groups.clear();
    }

    override broadcast(packet: unknown, { rooms, except, flags }: never): void {
      const namespace: Namespace = this.nsp;
      const own = { ...(packet as Packet), nsp: namespace.name };
      const recipients = { rooms, except } as Recipients;
      const [room] = recipients.rooms;
      if (recipients.rooms.size !== 1 || room === undefined || recipients.except?.size) {
        broadcastLocally(fanOut, namespace, own, recipients, flags);
        return;
      }
      const group = this.#groups.get(room) ?? localRecipients(namespace, this, recipients);
      this.#groups.set(room, group);
      for (const socket of group) notifyOutgoing(socket, own);
      fanOut.write(group, encoderOf(namespace.server).encode(own), flags);
    }
  };
}
