import type { Position } from "@holdfast/broker";
import type { Socket } from "socket.io";
import type { PlacedPacket } from "../cluster/delivery.ts";
import type { Room } from "../cluster/room-channel.ts";

/** A room's channel as this node follows it. */
export interface HostRoom {
  /** Resolves once entries come; undefined from then on. */
  readonly ready: Promise<void> | undefined;
  /** After which every entry comes here; undefined before that is known. */
  readonly began: Position | undefined;
  /** What was handed out last. */
  readonly last: Position;
}

/** What recovery needs of a namespace's adapter. */
export interface SessionHost {
  readonly namespace: string;
  /** A connected socket. */
  socket(sid: string): Socket | undefined;
  /** The rooms that a socket is in, connected or not. */
  roomsOf(sid: string): ReadonlySet<Room>;
  /** The sockets in a room, connected or not; `null`: all. */
  membersOf(room: Room | null): Iterable<string>;
  /** `null`: everybody in the namespace. */
  channelOf(room: Room | null): string;
  followed(channel: string): HostRoom | undefined;
  /** Resolves once this offset was handed out here, or never will be. */
  reached(channel: string, offset: number): Promise<void>;
  /** Puts a socket into rooms before it exists, so that their entries come; resolves once they do. */
  enter(sid: string, rooms: Iterable<Room>): Promise<void> | void;
  /** Takes a socket out of all its rooms. */
  leaveAll(sid: string): void;
  /** Disconnects a socket at once, whatever is on its way to it. */
  disconnect(socket: Socket): void;
  /** Hands packets to one socket, but for those that it had a copy of. */
  sendAll(socket: Socket, packets: readonly PlacedPacket[]): void;
  /** Copies of these messages are not handed to the socket, as its client has one of each; of others it has none. */
  hadCopies(socket: Socket, messages: ReadonlySet<string>): void;
  /** Hands a packet that is in no log to one socket. */
  sendEvent(socket: Socket, data: readonly unknown[]): void;
}
