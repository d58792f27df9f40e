import type { Entry } from "@holdfast/broker";
import type { Socket } from "socket.io";
import type { BroadcastOptions } from "socket.io-adapter";
import type { HoldfastAdapter } from "./adapter.ts";
import type { Cluster } from "./cluster.ts";
import type { HandOverOptions } from "./hand-over.ts";
import { encodePacket, hasStockParser } from "./packet-encoder.ts";
import {
  decodePacketEntry,
  isReplayable,
  type OutgoingPacket,
  type PacketEntry,
  packetsOf,
} from "./packet-entry.ts";
import type { Room } from "./room-channel.ts";
import { ServedCopies } from "./served-copies.ts";
import type { StockSocket } from "./stock.ts";

/** The last step of a packet: to those sockets of one namespace of this node that it is for. */
export class Delivery {
  readonly #adapter: HoldfastAdapter;
  readonly #cluster: Cluster;
  readonly #served = new ServedCopies();

  constructor(adapter: HoldfastAdapter, cluster: Cluster) {
    this.#adapter = adapter;
    this.#cluster = cluster;
  }

  /** This node's sockets in any of the rooms (none: all), but those in an excepted one. */
  matching(rooms: Iterable<Room>, except: Iterable<Room> = []): Socket[] {
    const { nsp, rooms: members, sids } = this.#adapter;
    const left = new Set<string>();
    for (const room of except) for (const id of members.get(room) ?? []) left.add(id);
    const chosen = new Set<string>();
    const sockets: Socket[] = [];
    const add = (id: string) => {
      if (left.has(id) || chosen.has(id)) return;
      const socket = nsp.sockets.get(id);
      if (!socket) return;
      chosen.add(id);
      sockets.push(socket);
    };
    let isEverybody = true;
    for (const room of rooms) {
      isEverybody = false;
      for (const id of members.get(room) ?? []) add(id);
    }
    if (isEverybody) for (const id of sids.keys()) add(id);
    return sockets;
  }

  /** What came from a room's log. */
  entry(room: Room | undefined, channel: string, entry: Entry): void {
    const packet = this.#read(channel, entry.data, entry.offset);
    if (!packet) return;
    const place = isReplayable(packet) ? this.#cluster.place(this.#adapter, channel, entry) : undefined;
    this.#handOver(room, channel, packet, place);
  }

  volatile(room: Room | undefined, channel: string, data: Uint8Array): void {
    const packet = this.#read(channel, data, 0);
    if (packet) this.#handOver(room, channel, packet, undefined);
  }

  /** What was emitted with the flag `local`. @returns how many sockets got it */
  local(packet: OutgoingPacket, options: BroadcastOptions, onResponse?: (response: unknown) => void): number {
    const { nsp } = this.#adapter;
    const sockets = this.matching(options.rooms, options.except);
    const { compress, volatile } = options.flags ?? {};
    if (onResponse) {
      const id = nsp._ids++;
      (packet as { id?: number }).id = id;
      for (const { acks } of sockets as unknown as StockSocket[]) acks.set(id, onResponse);
    }
    const packets = encodePacket(nsp, packet);
    const write = { compress: compress !== false, volatile: volatile === true };
    this.#write(sockets, packet.data, packets, write);
    return sockets.length;
  }

  #handOver(room: Room | undefined, channel: string, packet: PacketEntry, place: string | undefined): void {
    const { nsp } = this.#adapter;
    let sockets = this.matching(room === undefined ? [] : [room], packet.except);
    if (packet.id !== undefined) sockets = this.#served.withoutServed(packet.id, sockets);
    const id = packet.ack && this.#cluster.acks.register(nsp, packet.ack, sockets);
    if (sockets.length === 0) return;
    const data = place === undefined ? packet.data : [...packet.data, place];
    const packets = hasStockParser(nsp.server)
      ? packetsOf(packet, { id, place })
      : encodePacket(nsp, { data, id: id ?? packet.packetId });
    try {
      this.#write(sockets, packet.data, packets, packet);
    } catch (error) {
      this.#cluster.onEvent({ type: "delivery-failed", channel, error });
    }
  }

  /** A listener for outgoing packets that throws, throws here; the sockets get the packet all the same. */
  #write(
    sockets: readonly Socket[],
    data: readonly unknown[],
    packets: readonly (string | Uint8Array)[],
    { compress, volatile }: HandOverOptions,
  ): void {
    const { counters, handOver } = this.#cluster;
    counters.delivered += sockets.length;
    try {
      for (const socket of sockets as unknown as readonly StockSocket[]) {
        if (socket.listenersAnyOutgoing().length > 0) socket.notifyOutgoingListeners({ data });
      }
    } finally {
      handOver(sockets, packets, { compress, volatile });
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
