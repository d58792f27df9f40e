import type { Entry, Position, Unrecoverable } from "@holdfast/broker";
import type { Hub, Outlet } from "@holdfast/hub";
import type { Namespace, Server, Socket } from "socket.io";
import { PacketType } from "socket.io-parser";
import { Connection, type ConnectionContext, groupOf } from "./connection.ts";
import { type BindingCounters, zeroCounters } from "./counters.ts";
import { entryArguments, volatileArguments } from "./entry.ts";
import { BindingError } from "./errors.ts";
import { FanOut, type WriteOptions } from "./fan-out/fan-out.ts";
import { broadcastLocally } from "./fan-out/local-broadcast.ts";
import { type BindingOptions, readBindingOptions } from "./options.ts";
import { optionsOf, requireServer, requireSocket } from "./stock.ts";
import { EVENTS, NODE_HEADER, PROTOCOL_VERSION } from "./wire.ts";

export interface ChannelBinding {
  readonly counters: Readonly<BindingCounters>;
  /** Ends all subscriptions and takes the listeners off again; sockets stay connected. Idempotent. */
  close(): void;
}

/**
 * Lets the clients of a Socket.IO namespace subscribe to a hub's channels, by docs/protocol.md. Bind before sockets
 * connect, and before the namespace's own "connection" listeners, so that the welcome is a connection's first event.
 *
 * @param target the server (its main namespace) or a namespace; attached to an HTTP server already
 * @throws BindingError `ENGINE_MISSING`, `OPTION_INVALID`; HoldfastError `SOCKET_IO_UNKNOWN`
 */
export function bindChannels(
  target: Server | Namespace,
  hub: Hub,
  options: BindingOptions = {},
): ChannelBinding {
  const settings = readBindingOptions(options);
  const namespace =
    "sockets" in target && target.sockets instanceof Map ? (target as Namespace) : (target as Server).sockets;
  const engine = namespace.server.engine;
  if (!engine) throw new BindingError("ENGINE_MISSING");
  requireServer(namespace);

  const counters = zeroCounters();
  const connections = new Map<string, Connection>();
  const fanOut =
    settings.fanOut ??
    new FanOut({
      maxQueuedBytes: settings.maxQueuedBytes,
      onSlow: (socket, queuedBytes) => {
        counters.cutOff++;
        settings.onEvent({ type: "cut-off", code: "CLIENT_TOO_SLOW", socket: socket.id, queuedBytes });
      },
      onMisfit: (reason) => settings.onEvent({ type: "fan-out-ordinary", reason }),
    });
  const unwatch = fanOut.watch(namespace);
  const toArguments = (channel: string, entry: Entry) =>
    entryArguments(channel, entry, (reason) => {
      counters.unreadable++;
      settings.onEvent({ type: "unreadable", channel, offset: entry.offset, reason });
    });
  // Their clients take the last argument of a packet, if that is text, for the place that they come back to.
  const keepsPlaces = optionsOf(namespace.server).connectionStateRecovery !== undefined;
  const write = (room: string, data: readonly unknown[], options?: WriteOptions) => {
    // With null at the end it is no place of a client's.
    const isPlace = typeof data.at(-1) === "string" && keepsPlaces;
    const packet = { type: PacketType.EVENT, nsp: namespace.name, data: isPlace ? [...data, null] : data };
    broadcastLocally(fanOut, namespace, packet, { rooms: new Set([room]) }, options);
  };
  const emitLocally = (room: string, event: string, ...args: unknown[]) => write(room, [event, ...args]);
  const toGroup = (channel: string, data: readonly unknown[], options?: WriteOptions) => {
    try {
      write(groupOf(channel), data, options);
    } catch (error) {
      settings.onEvent({ type: "delivery-failed", channel, error });
    }
  };

  const outlet: Outlet = {
    deliver(channel: string, entry: Entry) {
      counters.delivered += namespace.adapter.rooms.get(groupOf(channel))?.size ?? 0;
      toGroup(channel, [EVENTS.entry, ...toArguments(channel, entry)]);
    },
    reset(channel: string, head: Position, reason: Unrecoverable) {
      const place = { epoch: head.epoch, offset: head.offset, tag: head.tag, reason };
      toGroup(channel, [EVENTS.reset, channel, place]);
    },
    volatile(channel: string, data: Uint8Array) {
      const args = volatileArguments(channel, data);
      if (args) toGroup(channel, [EVENTS.volatile, ...args], { volatile: true });
      else counters.unreadable++;
    },
  };
  const members = hub.attach(outlet);
  const context: ConnectionContext = {
    emitLocally,
    members,
    settings,
    counters,
    toArguments,
    onEvent: settings.onEvent,
  };

  const onConnection = (socket: Socket) => {
    requireSocket(socket);
    socket.emit(EVENTS.welcome, { node: hub.node, protocol: PROTOCOL_VERSION });
    connections.set(socket.id, new Connection(socket, context));
    socket.once("disconnect", () => connections.delete(socket.id));
  };
  const onHeaders = (headers: Record<string, string>) => {
    headers[NODE_HEADER] = headerText(hub.node);
  };
  namespace.on("connection", onConnection);
  engine.on("initial_headers", onHeaders);

  return {
    counters,
    close() {
      namespace.off("connection", onConnection);
      engine.off("initial_headers", onHeaders);
      for (const connection of connections.values()) connection.close();
      connections.clear();
      members.close();
      unwatch();
      if (settings.fanOut === undefined) fanOut.close();
    },
  };
}

/** A node's name comes from the environment: what a header can't hold would end the process at the next handshake. */
function headerText(node: string): string {
  return node.replace(/[^\x21-\x7e]/g, "-");
}
