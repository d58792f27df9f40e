import type { Entry } from "@holdfast/broker";
import type { Socket } from "socket.io";
import type { BroadcastOptions } from "socket.io-adapter";
import { acksOf, nextAckId, notifyOutgoing } from "../stock.ts";
import { isFor } from "./absences.ts";
import type { HoldfastAdapter } from "./adapter.ts";
import type { Cluster } from "./cluster.ts";
import type { Departures } from "./departures.ts";
import type { HandOverOptions } from "./hand-over.ts";
import { bytesOf, encodePacket, hasStockParser } from "./packet-encoder.ts";
import {
  decodePacketEntry,
  isReplayable,
  type OutgoingPacket,
  type PacketEntry,
  packetsOf,
} from "./packet-entry.ts";
import type { Room } from "./room-channel.ts";
import { ServedCopies } from "./served-copies.ts";

/** Sockets that make a room worth remembering, and rooms that are remembered. */
const LARGE_GROUP = 16;
const MAX_GROUPS = 1_000;

/** What is in no log comes after whatever is. */
const NO_ENTRY = Number.POSITIVE_INFINITY;

/** A packet of a log, and the place of a client that is given it. */
export interface PlacedPacket {
  readonly packet: PacketEntry;
  readonly place: string;
}

/** The last step of a packet: to those sockets of one namespace of this node that it is for. */
export class Delivery {
  readonly #adapter: HoldfastAdapter;
  readonly #cluster: Cluster;
  readonly #departures: Departures;
  readonly #served = new ServedCopies();
  /** What is told to one socket after the other, as the clients get it. */
  readonly #encoded = new WeakMap<
    PacketEntry,
    { readonly place: string; readonly packets: readonly (string | Uint8Array)[] }
  >();
  readonly #groups = new Map<Room | undefined, readonly Socket[]>();

  constructor(adapter: HoldfastAdapter, cluster: Cluster, departures: Departures) {
    this.#departures = departures;
    this.#adapter = adapter;
    this.#cluster = cluster;
  }

  /** Sockets have come to rooms, or left them. */
  changed(): void {
    if (this.#groups.size > 0) this.#groups.clear();
  }

  /** As `matching`: for a large room the same array, until somebody comes or leaves, which makes the fan-out cheaper. */
  #groupOf(room: Room | undefined): readonly Socket[] {
    const known = this.#groups.get(room);
    if (known) return known;
    const sockets = this.matching(room === undefined ? [] : [room], [], this.#departures);
    if (sockets.length < LARGE_GROUP) return sockets;
    if (this.#groups.size >= MAX_GROUPS) this.#groups.clear();
    this.#groups.set(room, sockets);
    return sockets;
  }

  /**
   * This node's sockets in any of the rooms (none: all), but those in an excepted one.
   *
   * @param departures who counts as a member although it has left, or is being disconnected
   */
  matching(rooms: Iterable<Room>, except: Iterable<Room> = [], departures?: Departures): Socket[] {
    const { nsp, rooms: members, sids } = this.#adapter;
    const left = new Set<string>();
    for (const room of except) {
      for (const id of members.get(room) ?? []) left.add(id);
      for (const id of departures?.of(room) ?? []) left.add(id);
    }
    const chosen = new Set<string>();
    const sockets: Socket[] = [];
    const add = (id: string) => {
      if (left.has(id) || chosen.has(id)) return;
      const socket = nsp.sockets.get(id);
      if (!socket || !(socket.connected || departures)) return;
      chosen.add(id);
      sockets.push(socket);
    };
    let isEverybody = true;
    for (const room of rooms) {
      isEverybody = false;
      for (const id of members.get(room) ?? []) add(id);
      for (const id of departures?.of(room) ?? []) add(id);
    }
    if (isEverybody) for (const id of sids.keys()) add(id);
    return sockets;
  }

  /** What came from a room's log. */
  entry(room: Room | undefined, channel: string, entry: Entry): void {
    const packet = this.#read(channel, entry.data, entry.offset);
    if (!packet) return;
    const { sessions } = this.#adapter;
    const place = isReplayable(packet) ? sessions?.place(channel, entry) : this.#placeless(packet);
    sessions?.arrived(room ?? null, channel, entry, packet, place ?? "");
    this.#handOver(room, channel, packet, place, entry.offset);
  }

  volatile(room: Room | undefined, channel: string, data: Uint8Array): void {
    const packet = this.#read(channel, data, 0);
    if (packet)
      this.#handOver(room, channel, { ...packet, volatile: true }, this.#placeless(packet), NO_ENTRY);
  }

  /** Packets of logs, each with its place, to one socket that is there since. */
  sendAll(socket: Socket, packets: readonly PlacedPacket[]): void {
    let together: (readonly (string | Uint8Array)[])[] = [];
    let compress = true;
    const write = () => {
      if (together.length > 0) this.#cluster.handOverAll(socket, together, { compress });
      together = [];
    };
    for (const { packet, place } of packets) {
      if (packet.id !== undefined && this.#served.withoutServed(packet.id, [socket]).length === 0) continue;
      if (packet.compress !== compress) write();
      compress = packet.compress;
      together.push(this.#encodedOnce(packet, place));
    }
    write();
  }

  /** A packet that was missed goes to one socket after the other. */
  #encodedOnce(packet: PacketEntry, place: string): readonly (string | Uint8Array)[] {
    const known = this.#encoded.get(packet);
    if (known?.place === place) return known.packets;
    const packets = this.#encode(packet, [...packet.data, place], { place });
    this.#encoded.set(packet, { place, packets });
    return packets;
  }

  /** Copies of these messages alone are not handed to the socket. */
  hadCopies(socket: Socket, messages: Iterable<string>): void {
    this.#served.forget(socket.id);
    for (const message of messages) this.#served.withoutServed(message, [socket]);
  }

  /** What is in no log. */
  sendEvent(socket: Socket, data: readonly unknown[]): void {
    const packets = encodePacket(this.#adapter.nsp, { data });
    this.#cluster.handOver([socket], packets, { compress: true, volatile: false });
  }

  /** What was emitted with the flag `local`. @returns how many sockets got it */
  local(packet: OutgoingPacket, options: BroadcastOptions, onResponse?: (response: unknown) => void): number {
    const { nsp } = this.#adapter;
    const sockets = this.matching(options.rooms, options.except);
    const { compress, volatile } = options.flags ?? {};
    if (onResponse) {
      const id = nextAckId(nsp);
      (packet as { id?: number }).id = id;
      for (const socket of sockets) acksOf(socket).set(id, onResponse);
    }
    const isPlaceless = this.#noPlace(packet.data, packet.id !== undefined) === null;
    const data = isPlaceless ? [...packet.data, null] : packet.data;
    const packets = encodePacket(nsp, { data, id: packet.id });
    const write = { compress: compress !== false, volatile: volatile === true };
    const { directs } = this.#cluster;
    const { sessions } = this.#adapter;
    const bytes = bytesOf(packets);
    this.#write(sockets, packet.data, packets, write, (socket) => {
      // Not before what was emitted to this socket alone.
      if (!directs.has(socket) && !sessions?.isWaiting(socket)) return true;
      const now = () => this.#cluster.handOverInTurn(socket, packets, write);
      directs.put(socket, [], bytes, sessions ? () => sessions.behind(socket, bytes, now) : now);
      return false;
    });
    return sockets.length;
  }

  /** A client takes a packet's last argument for its place, if it is text: then there has to be another one. */
  #noPlace(data: readonly unknown[], isAnswered: boolean): null | undefined {
    return this.#adapter.sessions && !isAnswered && typeof data.at(-1) === "string" ? null : undefined;
  }

  #placeless({ data, ack, packetId }: PacketEntry): null | undefined {
    return this.#noPlace(data, ack !== undefined || packetId !== undefined);
  }

  #handOver(
    room: Room | undefined,
    channel: string,
    packet: PacketEntry,
    place: string | null | undefined,
    offset: number,
  ): void {
    const { nsp } = this.#adapter;
    const absences = this.#cluster.absences.at(channel);
    // Who is given it is noted now, and not when that is known.
    const isNoted = packet.id !== undefined || packet.ack !== undefined;
    let sockets =
      packet.except.length === 0
        ? this.#groupOf(room)
        : this.matching(room === undefined ? [] : [room], packet.except, this.#departures);
    if (absences) sockets = sockets.filter(({ id }) => isFor(absences.get(id), offset) ?? !isNoted);
    if (packet.id !== undefined) sockets = this.#served.withoutServed(packet.id, sockets);
    const id = packet.ack && this.#cluster.acks.register(nsp, packet.ack, sockets);
    if (sockets.length === 0) return;
    const data = place === undefined ? packet.data : [...packet.data, place];
    const packets = this.#encode(packet, data, { id, place });
    const write = (to: readonly Socket[]) => {
      try {
        this.#write(to, packet.data, packets, packet);
      } catch (error) {
        this.#cluster.onEvent({ type: "delivery-failed", channel, error });
      }
    };
    const { sessions } = this.#adapter;
    const give = (to: readonly Socket[]) =>
      write(sessions?.writable(to, bytesOf(packets), (socket) => write([socket])) ?? to);
    const giveLater = (socket: Socket) => {
      if (isFor(absences?.get(socket.id), offset) !== false) give([socket]);
    };
    give(this.#cluster.directs.writable(sockets, giveLater));
  }

  #encode(
    packet: PacketEntry,
    data: readonly unknown[],
    change: { readonly id?: number | undefined; readonly place?: string | null | undefined },
  ): (string | Uint8Array)[] {
    const { nsp } = this.#adapter;
    if (hasStockParser(nsp.server)) return packetsOf(packet, change);
    return encodePacket(nsp, { data, id: change.id ?? packet.packetId });
  }

  /** A listener for outgoing packets that throws, throws here; the sockets get the packet all the same. */
  #write(
    sockets: readonly Socket[],
    data: readonly unknown[],
    packets: readonly (string | Uint8Array)[],
    { compress, volatile }: HandOverOptions,
    isWritable?: (socket: Socket) => boolean,
  ): void {
    const { counters, handOver } = this.#cluster;
    counters.delivered += sockets.length;
    try {
      for (const socket of sockets) {
        if (socket.listenersAnyOutgoing().length > 0) notifyOutgoing(socket, { data });
      }
    } finally {
      handOver(isWritable ? sockets.filter(isWritable) : sockets, packets, { compress, volatile });
    }
  }

  #read(channel: string, data: Uint8Array, offset: number): PacketEntry | undefined {
    const read = decodePacketEntry(data);
    if (!read.ok) this.#cluster.unreadable(channel, offset, read.reason);
    else if (read.value.namespace === this.#adapter.nsp.name) return read.value;
    else this.#cluster.unreadable(channel, offset, "namespace");
    return undefined;
  }
}
