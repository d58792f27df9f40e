import type { Socket } from "socket.io";
import type { BroadcastOptions } from "socket.io-adapter";
import type { HoldfastAdapter } from "./adapter.ts";
import type { Cluster } from "./cluster.ts";
import type { RequestType } from "./control-message.ts";
import { type Room, roomChannel } from "./room-channel.ts";

/** How long other nodes may take to answer where Socket.IO's caller gave no time, as with its own adapters. */
const ANSWER_MS = 5_000;

/** How long emits wait at most for a join or leave to be done on all nodes. */
const OPERATION_MS = 2_000;

/** Sockets of one operation whose own packets wait until it is done everywhere, so that they overtake nothing. */
const MAX_HELD = 1_000;

/** What one namespace of this node asks of all nodes, itself included; the others' side is in `requests-here.ts`. */
export class Requests {
  readonly #adapter: HoldfastAdapter;
  readonly #cluster: Cluster;

  constructor(adapter: HoldfastAdapter, cluster: Cluster) {
    this.#adapter = adapter;
    this.#cluster = cluster;
  }

  /** An event for the other servers; with a function at its end, which is given their answers. */
  emit(packet: readonly unknown[]): void {
    const acknowledge = packet.at(-1);
    const { control } = this.#cluster;
    const namespace = this.#adapter.nsp.name;
    if (typeof acknowledge !== "function") {
      control
        .tell("emit", namespace, [false, ...packet])
        .catch((error) => this.#cluster.failed("emit", error));
      return;
    }
    const args = [true, ...packet.slice(0, -1)];
    void control.ask({ type: "emit", namespace, args, timeoutMs: ANSWER_MS }).then(({ values, error }) => {
      if (error) this.#cluster.failed("emit", error);
      acknowledge(error ?? null, values);
    });
  }

  /**
   * Does something to sockets of all nodes: after what this node emitted so far, and before what it emits from now on. To its
   * own at once, as Socket.IO does: what the program does to them next comes after it, and who is meant is who is there now.
   */
  operate(
    type: RequestType,
    options: BroadcastOptions,
    value: Room[] | boolean,
    apply: (sockets: Socket[]) => unknown,
  ): void {
    const sockets = this.#adapter.matching(options.rooms, options.except);
    if (options.flags?.local) {
      apply(sockets);
      return;
    }
    const cluster = this.#cluster;
    const touched = this.#touched(options, value, sockets);
    const before = cluster.settled();
    const args = [selectionOf(options), value];
    const question = {
      type,
      namespace: this.#adapter.nsp.name,
      args,
      timeoutMs: OPERATION_MS,
      after: before ? [before] : [],
    };
    const there = cluster.control.ask(question).then(({ error }) => {
      if (error) cluster.failed(type, error);
    });
    cluster.hold(touched, there);
    cluster.hold(touched, Promise.resolve(apply(sockets)));
  }

  /** Channels that emits have to wait for after an operation: nothing overtakes what is emitted to the rooms. */
  #touched({ rooms }: BroadcastOptions, value: Room[] | boolean, sockets: readonly Socket[]): string[] {
    if (!Array.isArray(value)) return [everythingIn(this.#adapter.nsp.name)];
    const own = sockets.slice(0, MAX_HELD).map(({ id }) => id);
    return [...new Set([...value, ...rooms, ...own])].map((room) =>
      roomChannel(this.#adapter.nsp.name, room),
    );
  }

  /**
   * Asks all nodes about sockets.
   *
   * @param describe what is said of those of this one
   * @returns rejects with HoldfastError `REQUESTS_TOO_MANY`, `ANSWERS_TOO_LARGE`, or as the broker does
   */
  async ask(
    type: "fetch" | "ids",
    options: BroadcastOptions,
    describe: (socket: Socket) => unknown,
  ): Promise<unknown[]> {
    const cluster = this.#cluster;
    const { local, timeout } = options.flags ?? {};
    const question = {
      type,
      namespace: this.#adapter.nsp.name,
      args: [selectionOf(options)],
      timeoutMs: timeout || ANSWER_MS,
    };
    const there = local ? undefined : cluster.control.ask(question);
    const here = this.#adapter.matching(options.rooms, options.except).map(describe);
    const joining = cluster.joins.all(question.timeoutMs / 2);
    if (joining) await joining;
    if (!there) return here;
    const { values, error } = await there;
    if (error) throw error;
    return [...here, ...values];
  }
}

/** Stands for all channels of a namespace in what emits wait for; no channel has a space in its name. */
export function everythingIn(namespace: string): string {
  return `all of ${namespace}`;
}

/** As requests and entries tell other nodes of it. */
export function selectionOf({ rooms, except }: BroadcastOptions): [Room[], Room[]] {
  return [[...rooms], [...(except ?? [])]];
}
