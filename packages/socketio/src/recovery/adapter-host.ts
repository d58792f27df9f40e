import type { Socket } from "socket.io";
import type { HoldfastAdapter } from "../cluster/adapter.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Delivery, PlacedPacket } from "../cluster/delivery.ts";
import { namespaceChannel, type Room, roomChannel } from "../cluster/room-channel.ts";
import type { HostRoom, SessionHost } from "./session-host.ts";

const NO_ROOMS: ReadonlySet<Room> = new Set();

/** One namespace's adapter, as its sessions see it. */
export class AdapterHost implements SessionHost {
  readonly #adapter: HoldfastAdapter;
  readonly #cluster: Cluster;
  readonly #delivery: Delivery;

  constructor(adapter: HoldfastAdapter, cluster: Cluster, delivery: Delivery) {
    this.#adapter = adapter;
    this.#cluster = cluster;
    this.#delivery = delivery;
  }

  get namespace(): string {
    return this.#adapter.nsp.name;
  }

  socket(sid: string): Socket | undefined {
    return this.#adapter.nsp.sockets.get(sid);
  }

  roomsOf(sid: string): ReadonlySet<Room> {
    return this.#adapter.sids.get(sid) ?? NO_ROOMS;
  }

  membersOf(room: Room | null): Iterable<string> {
    const { rooms, sids } = this.#adapter;
    return room === null ? sids.keys() : (rooms.get(room) ?? NO_ROOMS);
  }

  channelOf(room: Room | null): string {
    return room === null ? namespaceChannel(this.namespace) : roomChannel(this.namespace, room);
  }

  followed(channel: string): HostRoom | undefined {
    return this.#cluster.rooms.get(channel);
  }

  reached(channel: string, offset: number): Promise<void> {
    return this.#cluster.rooms.reached(channel, offset);
  }

  enter(sid: string, rooms: Iterable<Room>): Promise<void> | void {
    return this.#adapter.enter(sid, new Set(rooms));
  }

  leaveAll(sid: string): void {
    this.#adapter.delAll(sid);
  }

  disconnect(socket: Socket): void {
    this.#adapter.departures.inTurn(() => socket.disconnect());
  }

  sendAll(socket: Socket, packets: readonly PlacedPacket[]): void {
    this.#delivery.sendAll(socket, packets);
  }

  hadCopies(socket: Socket, messages: ReadonlySet<string>): void {
    this.#delivery.hadCopies(socket, messages);
  }

  sendEvent(socket: Socket, data: readonly unknown[]): void {
    this.#delivery.sendEvent(socket, data);
  }
}
