import type { Socket } from "socket.io";
import { hearServer } from "../stock.ts";
import type { HoldfastAdapter } from "./adapter.ts";
import type { Cluster } from "./cluster.ts";
import type { Asked } from "./control-plane.ts";
import { isRooms, isShared, namespaceChannel, type Room, roomChannel } from "./room-channel.ts";

/** Sockets by the rooms that they are in; no room: all. */
export interface Selection {
  readonly rooms: readonly Room[];
  readonly except: readonly Room[];
}

/** About the bytes of one part of a long answer. */
const PART_BYTES = 128 * 1024;

/** Does on this node what another one asks for. What is no proper request is answered as nothing. */
export function doRequest(cluster: Cluster, asked: Asked): void {
  cluster.counters.requests++;
  const work = () => {
    try {
      attempt(cluster, asked);
    } catch (error) {
      asked.answer();
      throwLater(error);
    }
  };
  // A count has the places that it waits for with it.
  if (asked.type === "count") work();
  else cluster.turns.take(channelsBefore(cluster, asked), work);
}

/** Of the rooms whose entries a request must not overtake: to whom they go is another question once it is done. */
function channelsBefore(cluster: Cluster, { type, namespace, args: [first, value] }: Asked): string[] {
  const adapter = cluster.adapters.get(namespace);
  if (!adapter) return [];
  if (type === "join" || type === "leave") return roomsOf(value).map((room) => roomChannel(namespace, room));
  if (type !== "disconnect") return [];
  const channels = select(adapter, first).flatMap(({ rooms }) =>
    [...rooms].filter(isShared).map((room) => roomChannel(namespace, room)),
  );
  return [...new Set([namespaceChannel(namespace), ...channels])];
}

/** What a listener of the program's own threw is the program's to hear of, but not in the middle of a delivery. */
function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

function attempt(cluster: Cluster, { type, namespace, from, args, answer }: Asked): void {
  const adapter = cluster.adapters.get(namespace);
  const [first, value] = args;
  const sockets = adapter ? select(adapter, first) : [];
  switch (type) {
    case "count":
      count(cluster, from, args, answer);
      break;
    case "emit":
      if (adapter) emit(adapter, args, answer);
      else answer();
      break;
    case "join":
      void Promise.resolve(adapter?.departures.inTurn(() => join(sockets, roomsOf(value)))).then(() =>
        answer(),
      );
      break;
    case "leave":
      adapter?.departures.inTurn(() => leave(sockets, roomsOf(value)));
      answer();
      break;
    case "disconnect":
      adapter?.departures.inTurn(() => {
        for (const socket of sockets) socket.disconnect(value === true);
      });
      answer();
      break;
    case "fetch":
      answer(...partsOf(sockets.map((socket) => detailsOf(socket, cluster))));
      break;
    case "ids":
      answer(...partsOf(sockets.map(({ id }) => id)));
      break;
  }
}

export async function join(sockets: readonly Socket[], rooms: readonly Room[]): Promise<void> {
  await Promise.all(sockets.map((socket) => socket.join([...rooms])));
}

export function leave(sockets: readonly Socket[], rooms: readonly Room[]): void {
  for (const socket of sockets) for (const room of rooms) void socket.leave(room);
}

function emit(adapter: HoldfastAdapter, args: readonly unknown[], answer: Asked["answer"]): void {
  const [wantsAnswer, ...event] = args;
  if (typeof event[0] !== "string") answer();
  else if (wantsAnswer === true) hearServer(adapter.nsp, [...event, (value: unknown) => answer([value])]);
  else hearServer(adapter.nsp, event);
}

function count(cluster: Cluster, from: string, args: readonly unknown[], answer: Asked["answer"]): void {
  const [request, copies] = args;
  const places = (Array.isArray(copies) ? copies : []).flatMap((copy) => {
    const [channel, offset] = Array.isArray(copy) ? copy : [];
    return typeof channel === "string" && Number.isSafeInteger(offset)
      ? [{ channel, offset: offset as number }]
      : [];
  });
  void cluster.acks.count(from, String(request), places).then((clients) => answer([clients]));
}

/** What can't be read selects nobody: without its rooms, or what it excepts, it would be more than was meant. */
function select(adapter: HoldfastAdapter, selection: unknown): Socket[] {
  const [rooms, except] = Array.isArray(selection) ? selection : [];
  return isRooms(rooms) && isRooms(except) ? adapter.matching(rooms, except) : [];
}

function roomsOf(value: unknown): readonly Room[] {
  return isRooms(value) ? value : [];
}

/**
 * As Socket.IO's adapters describe a socket to another node. What a session store put there may be circular. Data that
 * JSON can't hold are left out: one socket's must not keep the others from being found.
 */
function detailsOf(socket: Socket, cluster: Cluster): object {
  const { sessionStore: _, ...handshake } = socket.handshake as Socket["handshake"] & {
    sessionStore?: unknown;
  };
  return { id: socket.id, handshake, rooms: [...socket.rooms], data: writableData(socket, cluster) };
}

function writableData({ data }: Socket, cluster: Cluster): unknown {
  try {
    JSON.stringify(data);
    return data;
  } catch (error) {
    cluster.failed("fetch", error);
    return {};
  }
}

function partsOf(values: readonly unknown[]): unknown[][] {
  const parts: unknown[][] = [[]];
  let bytes = 0;
  for (const value of values) {
    const size = JSON.stringify(value).length;
    if (bytes > 0 && bytes + size > PART_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    bytes += size;
    parts.at(-1)?.push(value);
  }
  return parts;
}
