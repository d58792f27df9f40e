import type { Entry, Position, Publication, Unrecoverable } from "@holdfast/broker";
import type { Namespace, Socket } from "socket.io";
import { Adapter, type BroadcastOptions } from "socket.io-adapter";
import { PacketType } from "socket.io-parser";
import { compactSocket } from "../fan-out/idle-connection.ts";
import { AdapterHost } from "../recovery/adapter-host.ts";
import type { Sessions } from "../recovery/sessions.ts";
import {
  encoderOf,
  requireServer,
  requireSocket,
  takePackets,
  type WritePacket,
  writePacket,
} from "../stock.ts";
import type { Cluster } from "./cluster.ts";
import { Delivery } from "./delivery.ts";
import { Departures } from "./departures.ts";
import type { Emitted } from "./emit-queue.ts";
import type { FollowedRoom, RoomSink } from "./followed-rooms.ts";
import type { JoinsUnderWay } from "./joins-under-way.ts";
import { othersOf } from "./members.ts";
import { bytesOf } from "./packet-encoder.ts";
import { type Envelope, encodePacketEntry, type OutgoingPacket } from "./packet-entry.ts";
import { join, leave } from "./requests-here.ts";
import { everythingIn, Requests, selectionOf } from "./requests-there.ts";
import { isShared, namespaceChannel, type Room, roomChannel } from "./room-channel.ts";

/** A new socket is told that it is connected at the latest after this time, whether its own room is followed or not. */
const CONNECT_WAIT_MS = 2_000;

type StockPacket = Parameters<WritePacket>[0];
type WriteOptions = NonNullable<Parameters<WritePacket>[1]>;

/**
 * One namespace of one node. What is emitted goes into the logs of its rooms' channels, and what comes back from there is
 * handed to the sockets that are in the room on this node.
 */
export class HoldfastAdapter extends Adapter implements RoomSink {
  declare readonly nsp: Namespace;
  readonly #cluster: Cluster;
  readonly #delivery: Delivery;
  readonly #requests: Requests;
  readonly departures: Departures;
  /** Where clients can come back to without missing anything. */
  readonly sessions: Sessions | undefined;
  /** `disconnect` and `packet` of every socket: one function each, since there are many. */
  readonly #disconnect: Socket["disconnect"];
  readonly #packet: WritePacket;
  #all: FollowedRoom | undefined;

  constructor(nsp: Namespace, cluster: Cluster) {
    requireServer(nsp);
    super(nsp);
    this.#cluster = cluster;
    this.departures = new Departures(cluster);
    this.#delivery = new Delivery(this, cluster, this.departures);
    this.#requests = new Requests(this, cluster);
    cluster.adopt(nsp.server);
    this.sessions = cluster.recovery.open(nsp.server, new AdapterHost(this, cluster, this.#delivery));
    const { sessions } = this;
    const isDeferred = (socket: Socket, now: () => void) => this.#deferred(socket, now);
    this.#disconnect = function (this: Socket, close = false) {
      const now = () => {
        cluster.directs.flush(this);
        sessions?.flush(this);
        Object.getPrototypeOf(this).disconnect.call(this, close);
      };
      if (!this.connected || !isDeferred(this, now)) now();
      return this;
    };
    const direct = (socket: Socket, packet: StockPacket, options: WriteOptions) =>
      this.#direct(socket, packet, options);
    this.#packet = function (packet, options = {}) {
      const isEvent = packet.type === PacketType.EVENT || packet.type === PacketType.ACK;
      // It is being disconnected: to the program it is already.
      if (isEvent && !this.connected) return;
      if (packet.type === PacketType.ACK) sessions?.said(this.id, true);
      if (!isEvent || !direct(this, packet, options)) writePacket.call(this, packet, options);
    };
  }

  override init(): void {
    this.#cluster.adapters.set(this.nsp.name, this);
    this.#all = this.#cluster.rooms.follow(namespaceChannel(this.nsp.name), undefined, this);
    this.nsp.use((socket, next) => void this.#prepare(socket.id).then(() => next()));
  }

  override close(): void {
    if (this.#cluster.adapters.get(this.nsp.name) === this) this.#cluster.adapters.delete(this.nsp.name);
    if (this.sessions) this.#cluster.recovery.forget(this.sessions);
    this.#cluster.rooms.dropAll(this);
  }

  /** Resolves once what is emitted to the rooms on any node from now on reaches the socket. */
  override addAll(id: string, rooms: Set<Room>): Promise<void> | void {
    return this.enter(id, rooms, this.#cluster.joins);
  }

  /** @param joins what tells of it waits here; nobody hears of the rooms of a socket that is not connected yet */
  enter(id: string, rooms: Set<Room>, joins?: JoinsUnderWay): Promise<void> | void {
    const had = new Set(joins && this.sids.get(id));
    super.addAll(id, rooms);
    this.#delivery.changed();
    const waiting: Promise<void>[] = [];
    const settling: Promise<unknown>[] = [];
    for (const room of rooms) {
      if (!isShared(room)) continue;
      const { ready, settled } = this.#follow(room);
      if (ready) waiting.push(ready);
      if (!joins || room === id) continue;
      if (settled) settling.push(settled);
      if (had.has(room) || this.departures.isInTurn) continue;
      const left = this.departures.leftAt(id, room);
      const before = this.#cluster.arrive(this.#channelOf(room), id, this.nsp.sockets.get(id), left);
      if (!before) continue;
      settling.push(before);
      waiting.push(Promise.all([before, ready]).then(([last]) => this.sessions?.joinedAfter(id, room, last)));
    }
    if (rooms.has(id)) this.#adopt(id);
    const saved = this.sessions?.joined(id, rooms);
    if (settling.length > 0) joins?.begin(id, Promise.all(settling));
    if (waiting.length > 0) return Promise.all(waiting).then(() => this.sessions?.saved(id));
    if (saved) return saved;
  }

  override del(id: string, room: Room): void {
    if (!this.sids.get(id)?.has(room)) return;
    super.del(id, room);
    this.#delivery.changed();
    this.sessions?.left(id, room);
    if (isShared(room)) {
      this.departures.left(id, room, this.#channelOf(room), () => {
        this.#delivery.changed();
        this.#dropIfEmpty(room);
      });
    }
    this.#dropIfEmpty(room);
  }

  override delAll(id: string): void {
    const rooms = [...(this.sids.get(id) ?? [])];
    super.delAll(id);
    this.#delivery.changed();
    this.sessions?.gone(id);
    for (const room of rooms) this.#dropIfEmpty(room);
    this.#dropIfEmpty(id);
  }

  override broadcast(packet: OutgoingPacket, options: BroadcastOptions): void {
    if (options.rooms.size === 1) for (const id of options.rooms) this.sessions?.said(id);
    if (options.flags?.local) this.#delivery.local(packet, options);
    else this.publish(packet, options);
  }

  /** Emits to all nodes. Rejects as `EmitQueue.add`; the failure is told to the log in any case. */
  publish(
    packet: OutgoingPacket,
    options: BroadcastOptions,
    ack?: Envelope["ack"],
  ): Promise<readonly Emitted[]> {
    const { flags = {} } = options;
    const [rooms, except] = selectionOf(options);
    const channels =
      rooms.length === 0 ? [namespaceChannel(this.nsp.name)] : rooms.map((room) => this.#channelOf(room));
    const data = encodePacketEntry(packet, rooms, {
      namespace: this.nsp.name,
      except,
      compress: flags.compress !== false,
      volatile: flags.volatile === true,
      ...(rooms.length > 1 && { id: this.#cluster.nextId() }),
      ...(ack && { ack }),
    });
    const joins = channels.flatMap((channel) => this.#cluster.rooms.get(channel)?.tried ?? []);
    const left = except.map((room) => this.#channelOf(room));
    const holds = [everythingIn(this.nsp.name), ...channels, ...left].flatMap((channel) =>
      this.#cluster.holdsOf(channel),
    );
    const publications = channels.map((channel): Publication => this.#cluster.publication(channel, data));
    const order = { joins, after: holds, except: left };
    return this.#cluster.emit(this.nsp.name, publications, order, flags.volatile === true && !ack);
  }

  deliver(room: Room | undefined, channel: string, entry: Entry): void {
    this.#delivery.entry(room, channel, entry);
  }

  deliverVolatile(room: Room | undefined, channel: string, data: Uint8Array): void {
    this.#delivery.volatile(room, channel, data);
  }

  /** This node's sockets in any of the rooms (none: all), but those in an excepted one. */
  matching(rooms: Iterable<Room>, except?: Iterable<Room>): Socket[] {
    return this.#delivery.matching(rooms, except);
  }

  /** The hub tells the log; what comes now follows on nothing, as after any outage of a stock adapter. */
  reset(room: Room | undefined, channel: string, _head: Position, _reason: Unrecoverable): void {
    this.#cluster.counters.resets++;
    this.sessions?.reset(room ?? null, channel);
  }

  override persistSession({ sid }: { readonly sid: string }): void {
    this.sessions?.expected(sid);
  }

  override async restoreSession(pid: string, offset: string): Promise<never> {
    // Socket.IO takes null for "no session", which its types don't say.
    return ((await this.sessions?.restore(pid, offset)) ?? null) as never;
  }

  override broadcastWithAck(
    packet: OutgoingPacket,
    options: BroadcastOptions,
    onCount: (clients: number) => void,
    onResponse: (response: unknown) => void,
  ): void {
    const { acks, control, members } = this.#cluster;
    // Socket.IO waits for as many counts as `serverCount` says.
    const asked = othersOf(members);
    if (options.flags?.local) {
      onCount(this.#delivery.local(packet, options, onResponse));
      for (const _ of asked) onCount(0);
      return;
    }
    const { timeout } = options.flags ?? {};
    const ack = acks.collect(packet, timeout, onResponse);
    this.publish(packet, options, ack).then(
      async (copies) => {
        const places = copies.map(({ channel, position }) => ({ channel, offset: position.offset }));
        void acks.count(members.uid, ack.request, places).then(onCount);
        const args = [ack.request, places.map(({ channel, offset }) => [channel, offset])];
        const question = { type: "count", namespace: this.nsp.name, args, timeoutMs: ack.timeoutMs } as const;
        const { values, error } = await control.ask(question, asked);
        // Socket.IO's own time is over then, too.
        if (error) return;
        for (const value of values) onCount(typeof value === "number" ? value : 0);
        for (let gone = asked.size - values.length; gone > 0; gone--) onCount(0);
      },
      () => acks.end(ack.request),
    );
  }

  override async serverCount(): Promise<number> {
    return 1 + othersOf(this.#cluster.members).size;
  }

  override addSockets(options: BroadcastOptions, rooms: Room[]): void {
    this.#requests.operate("join", options, rooms, (sockets) => join(sockets, rooms));
  }

  override delSockets(options: BroadcastOptions, rooms: Room[]): void {
    this.#requests.operate("leave", options, rooms, (sockets) => leave(sockets, rooms));
  }

  override disconnectSockets(options: BroadcastOptions, close: boolean): void {
    this.#requests.operate("disconnect", options, close, (sockets) => {
      for (const socket of sockets) socket.disconnect(close);
    });
  }

  override async sockets(rooms: Set<Room>): Promise<Set<string>> {
    const found = await this.#requests.ask("ids", { rooms }, (socket) => socket.id);
    return new Set(found as string[]);
  }

  override fetchSockets(options: BroadcastOptions): Promise<unknown[]> {
    return this.#requests.ask("fetch", options, (socket) => socket);
  }

  override serverSideEmit(packet: unknown[]): void {
    this.#requests.emit(packet);
  }

  /** Other nodes reach the socket by its own room and by the namespace before its client is told that it is connected. */
  async #prepare(id: string): Promise<void> {
    const all = this.#all?.ready;
    const own = this.#follow(id).ready;
    const ready = all && own ? Promise.all([all, own]) : (all ?? own);
    if (!ready) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CONNECT_WAIT_MS);
      void ready.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** What Socket.IO has of its own would overtake what was emitted to the socket before. */
  #adopt(id: string): void {
    const socket = this.nsp.sockets.get(id);
    if (!socket || Object.hasOwn(socket, "disconnect")) return;
    requireSocket(socket);
    socket.disconnect = this.#disconnect;
    takePackets(socket, this.#packet);
    compactSocket(socket);
  }

  #deferred(socket: Socket, disconnect: () => void): boolean {
    return this.departures.defer(socket, this.#channelsOf(socket), disconnect);
  }

  /**
   * What is written to a socket past the logs: behind what was emitted to it before, and once it is in the rooms that it has
   * joined.
   *
   * @returns false where it waits for nothing, and nothing was done
   */
  #direct(socket: Socket, packet: StockPacket, { volatile, compress }: WriteOptions): boolean {
    const { directs, joins, isQuiet } = this.#cluster;
    const { sessions } = this;
    const isHeld = sessions?.isHeld(socket) === true;
    const joined = joins.of(socket.id);
    const waits = isHeld || joined !== undefined || directs.has(socket);
    if (isQuiet && !waits) return false;
    const earlier = isQuiet ? [] : this.#cluster.earlierThan(socket, this.#channelsOf(socket));
    if (earlier.length === 0 && !waits) return false;
    // Encoded now: the program may change what it has given.
    const packets = encoderOf(this.nsp.server).encode({ ...packet, nsp: this.nsp.name });
    const bytes = bytesOf(packets);
    const how = { volatile: volatile === true, compress: compress !== false };
    const write = () => this.#cluster.handOverInTurn(socket, packets, how);
    const inTurn = sessions ? () => sessions.behind(socket, bytes, write) : write;
    directs.put(socket, earlier, bytes, inTurn, joined);
    return true;
  }

  /** Of all that can be emitted to a socket. */
  #channelsOf(socket: Socket): string[] {
    const channels = [namespaceChannel(this.nsp.name)];
    for (const room of socket.rooms) if (isShared(room)) channels.push(this.#channelOf(room));
    return channels;
  }

  #follow(room: Room): FollowedRoom {
    return this.#cluster.rooms.follow(this.#channelOf(room), room, this);
  }

  #dropIfEmpty(room: Room): void {
    if (this.rooms.has(room) || this.departures.has(room) || !isShared(room)) return;
    this.#cluster.rooms.drop(this.#channelOf(room), this);
    this.sessions?.forget(this.#channelOf(room));
  }

  #channelOf(room: Room): string {
    return roomChannel(this.nsp.name, room);
  }
}
