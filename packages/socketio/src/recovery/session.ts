import type { Socket } from "socket.io";
import type { PacketEntry } from "../cluster/packet-entry.ts";
import type { Room } from "../cluster/room-channel.ts";
import { Outbox } from "./outbox.ts";
import { LEFT_ROOMS, type Mark, type SessionRecord, type SessionRoom } from "./session-record.ts";

/** A packet for a socket that is not connected yet, with the place that the client has once it was given it. */
export interface KeptPacket {
  readonly channel: string;
  readonly offset: number;
  readonly seq: number;
  readonly packet: PacketEntry;
  readonly place: string;
}

/** One socket of this node, as far as going on with it on another node needs it. */
export class Session {
  readonly sid: string;
  readonly pid: string;
  /** Undefined until the socket is connected. */
  socket: Socket | undefined;
  /** The data that was restored; the socket's own from its connection on. */
  data: unknown;
  /** `socket.data` as it was written last, as JSON. */
  savedData: string | undefined;
  /** The same as the socket left it. */
  finalData: string | undefined;
  /** What the client missed, and what came since the restore began, until the socket is connected. */
  kept: KeptPacket[] | undefined;
  keptBytes = 0;
  /** Messages that the client has a copy of. */
  had: ReadonlySet<string> = new Set();
  readonly outbox = new Outbox();
  /** Its client is to start anew: what it was sent can no longer be told. */
  isBroken = false;
  /** The socket's disconnection is one after which the client may come back. */
  isExpected = false;
  /** Another socket, here or on another node, goes on with it. */
  isReplaced = false;
  isOver = false;
  /** It was handed to Socket.IO, whose socket for it may still be on its way through middlewares. */
  isRestored = false;
  /** Told once it is connected, or over. */
  onSettled: (() => void)[] = [];
  /** Emits to the socket after which its data is looked at: a listener of an event of its client may be at work. */
  looks = 0;
  /** Its changes of rooms so far, and how many of them the record has that was written last. */
  changes = 0;
  written = 0;
  readonly #rooms = new Map<Room | null, SessionRoom>();
  #left: SessionRoom[] = [];

  constructor(sid: string, pid: string) {
    this.sid = sid;
    this.pid = pid;
  }

  static from(record: SessionRecord): Session {
    const session = new Session(record.sid, record.pid);
    for (const room of record.rooms) session.#rooms.set(room.room, room);
    session.#left = [...record.left];
    session.data = record.data;
    session.savedData = JSON.stringify(record.data);
    return session;
  }

  get rooms(): ReadonlyMap<Room | null, SessionRoom> {
    return this.#rooms;
  }

  get left(): readonly SessionRoom[] {
    return this.#left;
  }

  joined(room: SessionRoom): void {
    this.#rooms.set(room.room, room);
    this.changes++;
  }

  /** @returns whether it was in the room */
  leave(name: Room): boolean {
    const room = this.#rooms.get(name);
    if (!room) return false;
    this.#rooms.delete(name);
    this.changes++;
    this.#left = [...this.#left.filter((one) => one.room !== name), room].slice(-LEFT_ROOMS);
    return true;
  }

  saw(name: Room | null, seen: Mark): void {
    const room = this.#rooms.get(name);
    if (room) this.#rooms.set(name, { ...room, seen });
  }

  record(namespace: string): Omit<SessionRecord, "data"> {
    const { sid, pid } = this;
    return { namespace, sid, pid, rooms: [...this.#rooms.values()], left: this.#left };
  }
}
