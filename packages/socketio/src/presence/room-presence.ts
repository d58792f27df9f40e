import type { Broker, Subscription } from "@holdfast/broker";
import { Presence, type PresenceEvent, type PresentMember } from "@holdfast/hub";
import type { Namespace, Socket } from "socket.io";
import type { Adapter } from "socket.io-adapter";
import { type Room, roomChannel } from "../cluster/room-channel.ts";
import type { HoldfastEvent } from "../events.ts";

/** Who a socket is to those who look at a room. */
export interface Person {
  /** The same one for all of a user's sockets. 1 to 256 characters. */
  readonly user: string;
  /** Any JSON value, of at most some 8 KiB. */
  readonly info?: unknown;
}

export interface RoomPresenceOptions {
  /**
   * Who a socket is; undefined: it is not shown. Asked when it joins a room, or is connected, and must neither block nor
   * throw. Default: nobody of this node is shown.
   */
  readonly who?: (socket: Socket) => Person | undefined;
  /** Whether a room's presence is kept. Default: every room's, but those that sockets have for themselves. */
  readonly rooms?: (room: string, namespace: string) => boolean;
  /** Milliseconds after which a node that gives no sign of life is taken for dead. Default 15,000. */
  readonly ttlMs?: number;
  /** How long a socket whose connection broke off, or whose node did, is still shown, in milliseconds. Default 5,000. */
  readonly graceMs?: number;
}

/** Reasons of a disconnect after which nobody comes back (Socket.IO's `disconnect` event). */
const LEFT = new Set(["client namespace disconnect", "server namespace disconnect"]);

/** Who is in the rooms of a Socket.IO server, on all nodes: sockets are shown from the moment they join until they leave. */
export class RoomPresence {
  readonly #presence: Presence;
  readonly #options: RoomPresenceOptions;
  readonly #onEvent: (event: HoldfastEvent) => void;
  /** Sockets that end with their connection broken off. */
  readonly #brokenOff = new WeakSet<Socket>();

  /** @throws HubError `HUB_OPTION_INVALID` */
  constructor(
    broker: Broker,
    node: string,
    { who, rooms, ...times }: RoomPresenceOptions,
    onEvent: (event: HoldfastEvent) => void,
  ) {
    this.#presence = new Presence(broker, { node, ...times });
    this.#options = { ...(who && { who }), ...(rooms && { rooms }) };
    this.#onEvent = onEvent;
  }

  /** Everybody in a room, on all nodes. @throws BrokerError as `LeaseTable.list` does */
  members(room: Room, namespace = "/"): Promise<readonly PresentMember[]> {
    return this.#presence.members(roomChannel(namespace, room));
  }

  /** Tells who is in a room, before it resolves, and then each change, until closed. @throws BrokerError as `LeaseTable.follow` does */
  follow(room: Room, listener: (event: PresenceEvent) => void, namespace = "/"): Promise<Subscription> {
    return this.#presence.follow(roomChannel(namespace, room), listener);
  }

  /** A socket's person is another one now: shows it anew in all of its rooms. */
  refresh(socket: Socket): void {
    for (const room of socket.rooms) this.#enter(socket, room);
  }

  /** Shows the sockets of a namespace. */
  attach(namespace: Namespace, adapter: Adapter): void {
    if (!this.#options.who) return;
    namespace.on("connection", (socket) => {
      socket.on("disconnecting", (reason) => {
        if (!LEFT.has(reason)) this.#brokenOff.add(socket);
      });
      // Rooms that a middleware or a recovery put it in, before it was one of the namespace's.
      this.refresh(socket);
    });
    adapter.on("join-room", (room: Room, id: string) => {
      const socket = namespace.sockets.get(id);
      if (socket) this.#enter(socket, room);
    });
    adapter.on("leave-room", (room: Room, id: string) => {
      const socket = namespace.sockets.get(id);
      if (!socket || !this.#isShown(room, socket)) return;
      const reason = this.#brokenOff.has(socket) ? "broke-off" : "left";
      this.#presence
        .leave(roomChannel(namespace.name, room), id, reason)
        .catch((error) => this.#failed(error));
    });
  }

  close(): Promise<void> {
    return this.#presence.close();
  }

  #enter(socket: Socket, room: Room): void {
    if (!this.#isShown(room, socket)) return;
    const person = this.#options.who?.(socket);
    if (!person) return;
    const { user, info = null } = person;
    this.#presence
      .enter(roomChannel(socket.nsp.name, room), { connection: socket.id, user, info })
      .catch((error) => this.#failed(error));
  }

  #isShown(room: Room, socket: Socket): boolean {
    if (room === socket.id) return false;
    return this.#options.rooms?.(String(room), socket.nsp.name) ?? true;
  }

  #failed(error: unknown): void {
    this.#onEvent({ type: "presence-failed", error });
  }
}
