import type { Publication, Retention } from "@holdfast/broker";
import type { Hub } from "@holdfast/hub";
import type { Server, Socket } from "socket.io";
import type { HoldfastCounters } from "../counters.ts";
import { HoldfastError } from "../errors.ts";
import type { HoldfastEvent } from "../events.ts";
import type { Recovery } from "../recovery/recovery.ts";
import { Absences, type LastEmit } from "./absences.ts";
import { Acks } from "./acks.ts";
import type { HoldfastAdapter } from "./adapter.ts";
import { ControlPlane } from "./control-plane.ts";
import { DirectPackets, type Earlier } from "./direct-packets.ts";
import { EMIT_QUEUE_LIMITS, type EmitOrder, EmitQueue, type Emitted } from "./emit-queue.ts";
import { FollowedRooms } from "./followed-rooms.ts";
import type { HandOver, HandOverAll, HandOverOptions } from "./hand-over.ts";
import { JoinsUnderWay } from "./joins-under-way.ts";
import type { Members } from "./members.ts";
import { RequestTurns } from "./request-turns.ts";
import { doRequest } from "./requests-here.ts";
import { isPlainChannel, roomChannel } from "./room-channel.ts";

export interface ClusterOptions {
  readonly hub: Hub;
  readonly members: Members;
  /** Of the logs that Holdfast names: all but those of plain channels. */
  readonly retention: Retention;
  readonly counters: HoldfastCounters;
  readonly handOver: HandOver;
  readonly handOverAll: HandOverAll;
  readonly recovery: Recovery;
  /** Told once of the Socket.IO server that has this node's adapters. */
  readonly onServer: (server: Server) => void;
  readonly onEvent: (event: HoldfastEvent) => void;
}

/** Volatile packets that are on their way to the broker at a time; more are dropped, as volatile ones may be. */
const MAX_VOLATILE = 10_000;

/** What the adapters of one node's namespaces share: its way to the logs, what it follows, and its talk with other nodes. */
export class Cluster {
  readonly adapters = new Map<string, HoldfastAdapter>();
  readonly hub: Hub;
  readonly members: Members;
  readonly rooms: FollowedRooms;
  readonly directs = new DirectPackets();
  readonly joins: JoinsUnderWay;
  readonly absences = new Absences();
  readonly control: ControlPlane;
  readonly turns: RequestTurns;
  readonly acks: Acks;
  readonly counters: HoldfastCounters;
  readonly handOver: HandOver;
  readonly handOverAll: HandOverAll;
  readonly recovery: Recovery;
  readonly onEvent: ClusterOptions["onEvent"];
  readonly #queue: EmitQueue;
  readonly #options: ClusterOptions;
  /** What emits to a channel have to wait for. */
  readonly #holds = new Map<string, Set<Promise<unknown>>>();
  #captured: Promise<readonly Emitted[]>[] | undefined;
  #server: Server | undefined;
  #volatile = 0;
  #ids = 0;

  constructor(options: ClusterOptions) {
    const { hub, members, counters, handOver, handOverAll, recovery, onEvent } = options;
    this.#options = options;
    this.hub = hub;
    this.members = members;
    this.counters = counters;
    this.handOver = handOver;
    this.handOverAll = handOverAll;
    this.recovery = recovery;
    this.onEvent = onEvent;
    this.rooms = new FollowedRooms(hub, (channel, offset) => this.directs.passed(channel, offset));
    this.turns = new RequestTurns(hub, this.rooms);
    this.joins = new JoinsUnderWay(() => this.#queue.advance());
    this.#queue = new EmitQueue(hub.broker, EMIT_QUEUE_LIMITS, this.joins);
    this.control = new ControlPlane({
      queue: this.#queue,
      rooms: this.rooms,
      members,
      notify: (channel, data) => this.#notify(channel, data),
      joined: (mostMs) => this.joins.all(mostMs),
      onRequest: (asked) => doRequest(this, asked),
      onAcknowledgement: (request, response) => this.acks.responded(request, response),
      onSilent: ({ node }) => this.onEvent({ type: "node-silent", node }),
      onUnreadable: (channel, offset, reason) => this.unreadable(channel, offset, reason),
      onError: (operation, error) => this.failed(operation, error),
    });
    this.acks = new Acks(this.control, this.rooms, members.uid);
  }

  /** The first adapter brings its server. @throws HoldfastError `SERVER_TAKEN` for another one */
  adopt(server: Server): void {
    if (this.#server === server) return;
    if (this.#server) throw new HoldfastError("SERVER_TAKEN");
    this.#server = server;
    this.#options.onServer(server);
  }

  close(): void {
    for (const adapter of [...this.adapters.values()]) adapter.close();
    this.control.close();
    this.acks.close();
    this.joins.close();
  }

  /** Names a message that has several copies. */
  nextId(): string {
    return `${this.members.uid}.${++this.#ids}`;
  }

  /** Plain channels keep what they keep: they belong to the publish API and its users too. */
  publication(channel: string, data: Uint8Array): Publication {
    const isOurs = !isPlainChannel(channel) && this.hub.broker.abilities.retention === true;
    return isOurs ? { channel, data, retention: this.#options.retention } : { channel, data };
  }

  /** Brings what was emitted to all nodes. Rejects as `EmitQueue.add`; a failure is told to the log in any case. */
  emit(
    namespace: string,
    publications: readonly Publication[],
    order: EmitOrder,
    isVolatile: boolean,
  ): Promise<readonly Emitted[]> {
    this.counters.emits++;
    const emitted =
      isVolatile && this.hub.broker.abilities.volatile === true
        ? this.#emitVolatile(publications, [this.joins.all(), ...(order.joins ?? []), ...(order.after ?? [])])
        : this.#queue.add(publications, order);
    emitted.then(
      (copies) => {
        for (const copy of copies) this.rooms.expect(copy);
      },
      (error) => {
        this.counters.emitsFailed++;
        this.onEvent({ type: "emit-failed", namespace, channel: publications[0]?.channel ?? "", error });
      },
    );
    this.#captured?.push(emitted);
    return emitted;
  }

  /** What was emitted while `emit` ran. */
  capture(emit: () => unknown): readonly Promise<readonly Emitted[]>[] {
    const captured: Promise<readonly Emitted[]>[] = [];
    this.#captured = captured;
    try {
      emit();
    } finally {
      this.#captured = undefined;
    }
    return captured;
  }

  /**
   * Resolves once what this node emitted so far is accepted and has come back here; undefined where it has.
   *
   * @param channels only what goes to one of these, or leaves out who is there
   */
  settled(channels?: readonly string[]): Promise<unknown> | undefined {
    const queued = this.#queue.settled(channels);
    return queued ? queued.then(() => this.rooms.caughtUp(channels)) : this.rooms.caughtUp(channels);
  }

  /** Nothing that this node emitted is on its way. */
  get isQuiet(): boolean {
    return this.#queue.size === 0 && this.rooms.isCaughtUp;
  }

  /** What this node emitted to a socket's rooms and that has not come back yet. */
  earlierThan(socket: Socket, channels: readonly string[]): Earlier[] {
    if (this.isQuiet) return [];
    const found: Earlier[] = [];
    for (const channel of channels) {
      const followed = this.rooms.get(channel);
      if (!followed) continue;
      const emitted = this.#queue.newest(channel, channels);
      const due = emitted ? undefined : this.rooms.dueOf(followed)?.position.offset;
      const from = followed.last.offset;
      if (!emitted && (due === undefined || due <= from)) continue;
      if (this.absences.wasAway(channel, socket.id, emitted, due)) continue;
      const earlier: Earlier = { channel, from, offset: due };
      found.push(earlier);
      const told = (copies: readonly Emitted[]) => {
        earlier.offset = copies.find((copy) => copy.channel === channel)?.position.offset ?? 0;
        this.directs.told(socket);
      };
      emitted?.done.then(told, () => told([]));
    }
    return found;
  }

  /** The last of what this node emitted to a channel; undefined where nothing of it is on its way. */
  lastEmit(channel: string): LastEmit | undefined {
    return this.#lastEmit(channel)?.last;
  }

  /**
   * A socket joins a room: what this node emitted to it before is not for that socket.
   *
   * @param socket undefined: it is not connected yet
   * @param left what had been emitted when it left the room, where it is still given that
   * @returns resolves with the last of what is not for it, once its place is known; undefined where nothing is on its way
   */
  arrive(
    channel: string,
    id: string,
    socket: Socket | undefined,
    left: LastEmit | undefined,
  ): Promise<Emitted | undefined> | undefined {
    const newest = this.#lastEmit(channel);
    if (!newest || isSame(newest.last, left)) return undefined;
    const { last: until, emitted } = newest;
    const end = this.absences.begin(channel, id, { after: left, until });
    // What comes from the log before that is known has to wait: whether it is for the socket is not known, either.
    const lift = socket && until.offset === undefined ? this.directs.bar(socket) : undefined;
    return emitted.then((last) => {
      void this.rooms.reached(channel, last?.position.offset ?? 0, last?.position.epoch).then(end);
      lift?.();
      return last;
    });
  }

  #lastEmit(channel: string): { last: LastEmit; emitted: Promise<Emitted | undefined> } | undefined {
    if (this.isQuiet) return undefined;
    const newest = this.#queue.newest(channel);
    if (!newest) {
      const followed = this.rooms.get(channel);
      const due = followed && this.rooms.dueOf(followed);
      return due && { last: { number: 0, offset: due.position.offset }, emitted: Promise.resolve(due) };
    }
    const last: LastEmit = { number: newest.number, offset: undefined };
    const known = (emitted: Emitted | undefined) => {
      last.offset = emitted?.position.offset ?? 0;
      return emitted;
    };
    const emitted = newest.done.then(
      (copies) => known(copies.find((copy) => copy.channel === channel)),
      () => known(undefined),
    );
    return { last, emitted };
  }

  /** Hands a packet to one socket in its turn, when nobody is there to be told what it throws. */
  handOverInTurn(socket: Socket, packets: readonly (string | Uint8Array)[], how: HandOverOptions): void {
    try {
      this.handOver([socket], packets, how);
    } catch (error) {
      this.onEvent({ type: "delivery-failed", channel: roomChannel(socket.nsp.name, socket.id), error });
    }
  }

  /** Emits to these channels from now on wait until this is settled. */
  hold(channels: readonly string[], until: Promise<unknown>): void {
    const settled = until.then(
      () => undefined,
      () => undefined,
    );
    for (const channel of channels) {
      const holds = this.#holds.get(channel) ?? new Set();
      this.#holds.set(channel, holds.add(settled));
    }
    void settled.then(() => {
      for (const channel of channels) {
        const holds = this.#holds.get(channel);
        holds?.delete(settled);
        if (holds?.size === 0) this.#holds.delete(channel);
      }
    });
  }

  holdsOf(channel: string): readonly Promise<unknown>[] {
    return [...(this.#holds.get(channel) ?? [])];
  }

  unreadable(channel: string, offset: number, reason: string): void {
    this.counters.unreadable++;
    this.onEvent({ type: "unreadable", channel, offset, reason });
  }

  failed(operation: string, error: unknown): void {
    this.counters.requestsFailed++;
    this.onEvent({ type: "request-failed", operation, error });
  }

  async #emitVolatile(
    publications: readonly Publication[],
    after: readonly (Promise<unknown> | undefined)[],
  ): Promise<readonly Emitted[]> {
    if (this.#volatile >= MAX_VOLATILE) throw new HoldfastError("EMITS_TOO_MANY");
    this.#volatile++;
    try {
      if (after.some((one) => one)) await Promise.allSettled(after);
      await Promise.all(publications.map(({ channel, data }) => this.hub.broker.notify(channel, data)));
      return [];
    } finally {
      this.#volatile--;
    }
  }

  async #notify(channel: string, data: Uint8Array): Promise<void> {
    const { broker } = this.hub;
    if (broker.abilities.volatile === true) await broker.notify(channel, data);
    else await this.#queue.add([this.publication(channel, data)]);
  }
}

function isSame(last: LastEmit, other: LastEmit | undefined): boolean {
  return last.number === 0 ? last.offset === other?.offset : last.number === other?.number;
}
