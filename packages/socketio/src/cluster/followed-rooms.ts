import type { Entry, Position, Unrecoverable } from "@holdfast/broker";
import type { Following, Hub, Outlet } from "@holdfast/hub";
import type { Emitted } from "./emit-queue.ts";
import type { Room } from "./room-channel.ts";

/** A namespace on this node, as its rooms' channels see it. Its methods must neither block nor throw. */
export interface RoomSink {
  /** @param room undefined: everybody in the namespace */
  deliver(room: Room | undefined, channel: string, entry: Entry): void;
  deliverVolatile(room: Room | undefined, channel: string, data: Uint8Array): void;
  reset(room: Room | undefined, channel: string, head: Position, reason: Unrecoverable): void;
}

/** Channels whose last emit of this node is remembered; only those of the last moments matter. */
const MAX_PAST = 10_000;
const LEAST_PAUSE_MS = 100;
const GREATEST_PAUSE_MS = 5_000;

/** A room's channel as this node follows it. A node has one for each of its sockets, so it is small once it is ready. */
export class FollowedRoom {
  readonly channel: string;
  readonly room: Room | undefined;
  readonly sink: RoomSink;
  /** Resolves when the first try has ended, well or badly; undefined from then on. The broker bounds how long that takes. */
  tried: Promise<boolean> | undefined;
  /** Resolves once entries come, or the room was left; undefined from then on. */
  ready: Promise<void> | undefined;
  /** What is here or before it in the log is not handed out. */
  past: Position | undefined;
  /** The position after which every entry comes; undefined before that is known. */
  began: Position | undefined;
  #following: Following | undefined;
  #end: (() => void) | undefined;
  #isClosed = false;

  constructor(channel: string, room: Room | undefined, sink: RoomSink, hub: Hub, outlet: Outlet) {
    this.channel = channel;
    this.room = room;
    this.sink = sink;
    const first = this.#try(hub, outlet);
    this.tried = first;
    this.ready = this.#becomeReady(first, hub, outlet);
  }

  /** The position that was handed out last; offset 0 before the channel is followed. */
  get last(): Position {
    return this.#following?.last ?? { epoch: "", offset: 0, tag: "" };
  }

  /** Resolves once entries come, or the first try has ended badly; undefined from then on. */
  get settled(): Promise<unknown> | undefined {
    return this.tried?.then((isFollowed) => (isFollowed ? this.ready : undefined));
  }

  close(): void {
    this.#isClosed = true;
    this.#following?.close();
    this.#end?.();
  }

  async #becomeReady(first: Promise<boolean>, hub: Hub, outlet: Outlet): Promise<void> {
    if (!(await first)) await this.#retry(hub, outlet);
    this.ready = undefined;
  }

  /** @returns whether it is followed now */
  async #try(hub: Hub, outlet: Outlet): Promise<boolean> {
    const following = hub.follow(outlet, this.channel);
    this.#following = following;
    try {
      this.began = await following.ready;
      return true;
    } catch {
      return false;
    } finally {
      this.tried = undefined;
    }
  }

  /** The hub tells of every failure. */
  async #retry(hub: Hub, outlet: Outlet): Promise<void> {
    let pause = LEAST_PAUSE_MS;
    while (!this.#isClosed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause * (0.5 + Math.random()));
        timer.unref();
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#end = undefined;
      if (this.#isClosed) return;
      if (await this.#try(hub, outlet)) return;
      pause = Math.min(pause * 2, GREATEST_PAUSE_MS);
    }
  }
}

/** The rooms of all namespaces that this node has sockets in: one channel each, one outlet for all of them. */
export class FollowedRooms implements Outlet {
  readonly #hub: Hub;
  readonly #rooms = new Map<string, FollowedRoom>();
  readonly #due = new Map<FollowedRoom, { offset: number; newest?: Emitted; waiting: (() => void)[] }>();
  /** What this node has emitted last to channels that it didn't follow then. */
  readonly #past = new Map<string, Position>();

  readonly #onPassed: (channel: string, offset: number) => void;

  /** @param onPassed told how far a channel has been handed out; without a bound when it comes no further */
  constructor(hub: Hub, onPassed: (channel: string, offset: number) => void = () => {}) {
    this.#hub = hub;
    this.#onPassed = onPassed;
  }

  get size(): number {
    return this.#rooms.size;
  }

  get(channel: string): FollowedRoom | undefined {
    return this.#rooms.get(channel);
  }

  /** Follows a channel until it is dropped. A room that is followed for a namespace that is gone changes hands. */
  follow(channel: string, room: Room | undefined, sink: RoomSink): FollowedRoom {
    const known = this.#rooms.get(channel);
    if (known?.sink === sink) return known;
    const followed = new FollowedRoom(channel, room, sink, this.#hub, this);
    // Who joins a room is not given what this node had emitted to it before, though it may be on its way.
    followed.past = this.#past.get(channel);
    this.#past.delete(channel);
    this.#rooms.set(channel, followed);
    if (known) this.#close(known);
    return followed;
  }

  drop(channel: string, sink: RoomSink): void {
    const known = this.#rooms.get(channel);
    if (known?.sink !== sink) return;
    this.#rooms.delete(channel);
    if (known.past) this.#remember(channel, known.past);
    this.#close(known);
  }

  dropAll(sink: RoomSink): void {
    for (const { channel } of [...this.#rooms.values()].filter((followed) => followed.sink === sink)) {
      this.drop(channel, sink);
    }
  }

  /**
   * Resolves once this position was handed out here, or never will be.
   *
   * @param epoch where it is known: a log of another one never comes to this position
   */
  async reached(channel: string, offset: number, epoch?: string): Promise<void> {
    const followed = this.#rooms.get(channel);
    await followed?.ready;
    if (!followed || (epoch !== undefined && followed.last.epoch !== epoch)) return;
    if (followed.last.offset >= offset || this.#rooms.get(channel) !== followed) return;
    await new Promise<void>((resolve) => this.#await(followed, offset).waiting.push(resolve));
  }

  /** Something of this node's own is at this place of a log, and comes here if its room is followed. */
  expect(emitted: Emitted): void {
    const { channel, position } = emitted;
    const followed = this.#rooms.get(channel);
    if (!followed) this.#remember(channel, position);
    else if (!followed.ready && followed.last.offset < position.offset)
      this.#await(followed, position.offset).newest = emitted;
  }

  /** Nothing of this node's own is still to come. */
  get isCaughtUp(): boolean {
    return this.#due.size === 0;
  }

  /** The last that this node has emitted to a channel, is accepted, and has not come yet. */
  dueOf(followed: FollowedRoom): Emitted | undefined {
    return this.#due.size === 0 ? undefined : this.#due.get(followed)?.newest;
  }

  /** Resolves once all that is expected (from these channels alone) has come; undefined where it has. */
  caughtUp(channels?: readonly string[]): Promise<unknown> | undefined {
    if (this.#due.size === 0) return undefined;
    const due = [...this.#due].filter(([{ channel }]) => !channels || channels.includes(channel));
    if (due.length === 0) return undefined;
    return Promise.all(due.map(([{ channel }, { offset }]) => this.reached(channel, offset)));
  }

  deliver(channel: string, entry: Entry): void {
    const followed = this.#rooms.get(channel);
    if (!followed) return;
    if (!isPast(followed, entry)) followed.sink.deliver(followed.room, channel, entry);
    if (this.#due.size > 0 && entry.offset >= (this.#due.get(followed)?.offset ?? Number.POSITIVE_INFINITY)) {
      this.#release(followed);
    }
    this.#onPassed(channel, entry.offset);
  }

  reset(channel: string, head: Position, reason: Unrecoverable): void {
    const followed = this.#rooms.get(channel);
    if (!followed) return;
    followed.sink.reset(followed.room, channel, head, reason);
    this.#release(followed);
    this.#onPassed(channel, Number.POSITIVE_INFINITY);
  }

  volatile(channel: string, data: Uint8Array): void {
    const followed = this.#rooms.get(channel);
    followed?.sink.deliverVolatile(followed.room, channel, data);
  }

  #remember(channel: string, position: Position): void {
    this.#past.delete(channel);
    this.#past.set(channel, position);
    const [oldest] = this.#past.keys();
    if (this.#past.size > MAX_PAST && oldest !== undefined) this.#past.delete(oldest);
  }

  #await(followed: FollowedRoom, offset: number): { newest?: Emitted; waiting: (() => void)[] } {
    const due = this.#due.get(followed) ?? { offset: 0, waiting: [] };
    this.#due.set(followed, due);
    due.offset = Math.max(due.offset, offset);
    return due;
  }

  #close(followed: FollowedRoom): void {
    followed.close();
    this.#release(followed);
    this.#onPassed(followed.channel, Number.POSITIVE_INFINITY);
  }

  #release(followed: FollowedRoom): void {
    const due = this.#due.get(followed);
    this.#due.delete(followed);
    for (const resolve of due?.waiting ?? []) resolve();
  }
}

function isPast(followed: FollowedRoom, entry: Entry): boolean {
  const { past, last } = followed;
  if (!past) return false;
  if (last.epoch === past.epoch && entry.offset <= past.offset) return true;
  followed.past = undefined;
  return false;
}
