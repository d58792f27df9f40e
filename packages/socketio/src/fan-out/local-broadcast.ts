import type { Namespace, Socket } from "socket.io";
import { encoderOf, notifyOutgoing } from "../stock.ts";
import type { FanOut, WriteOptions } from "./fan-out.ts";

/** A packet as Socket.IO's parser knows it. */
export interface Packet {
  readonly type: number;
  readonly data: readonly unknown[];
  readonly nsp: string;
  readonly id?: number | undefined;
}

/** What of an adapter is needed to find sockets: `rooms` and `sids` are documented, and so is `nsp.sockets`. */
export interface Rooms {
  readonly rooms: ReadonlyMap<string, ReadonlySet<string>>;
  readonly sids: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface Recipients {
  /** Empty: everybody. */
  readonly rooms: ReadonlySet<string>;
  readonly except?: ReadonlySet<string> | undefined;
}

/** This node's sockets that are in one of the rooms and in none of those excepted, each once, in Socket.IO's order. */
export function localRecipients(
  namespace: Namespace,
  adapter: Rooms,
  { rooms, except }: Recipients,
): Socket[] {
  const excluded = new Set<string>();
  for (const room of except ?? []) for (const id of adapter.rooms.get(room) ?? []) excluded.add(id);
  const sockets: Socket[] = [];
  const take = (id: string) => {
    const socket = excluded.has(id) ? undefined : namespace.sockets.get(id);
    if (socket) sockets.push(socket);
  };
  const [only] = rooms;
  if (rooms.size === 1 && only !== undefined) adapter.rooms.get(only)?.forEach(take);
  else if (rooms.size === 0) for (const id of adapter.sids.keys()) take(id);
  else for (const id of new Set([...rooms].flatMap((room) => [...(adapter.rooms.get(room) ?? [])]))) take(id);
  return sockets;
}

/** What `broadcast` of Socket.IO's in-memory adapter does, by way of the fan-out. @throws what the encoder throws */
export function broadcastLocally(
  fanOut: FanOut,
  namespace: Namespace,
  packet: Packet,
  recipients: Recipients,
  options: WriteOptions = {},
): void {
  const sockets = localRecipients(namespace, namespace.adapter, recipients);
  const encoded = encoderOf(namespace.server).encode(packet);
  for (const socket of sockets) notifyOutgoing(socket, packet);
  fanOut.write(sockets, encoded, options);
}
