import type { Entry, Retention } from "@holdfast/broker";
import { HoldfastError } from "../errors.ts";
import {
  type AnswerType,
  type ControlMessage,
  decodeControl,
  encodeControl,
  isRequest,
  type RequestType,
} from "./control-message.ts";
import type { EmitQueue } from "./emit-queue.ts";
import type { FollowedRooms, RoomSink } from "./followed-rooms.ts";
import { type Member, type Members, othersOf } from "./members.ts";
import { type Answers, OpenRequests } from "./open-requests.ts";
import { CLUSTER_CHANNEL, inboxChannel } from "./room-channel.ts";
import { SilentNodes } from "./silent-nodes.ts";

/** A request of another node. */
export interface Asked {
  readonly type: RequestType;
  readonly namespace: string;
  readonly from: string;
  readonly args: readonly unknown[];
  /** Sends the whole answer; does nothing where none is wanted, and the second time. */
  answer(...parts: readonly (readonly unknown[])[]): void;
}

export interface ControlPlaneOptions {
  readonly queue: EmitQueue;
  readonly rooms: FollowedRooms;
  readonly members: Members;
  /** Sends to one node, now or never. */
  notify(channel: string, data: Uint8Array): Promise<void>;
  /** Resolves once the joins are over that are under way on this node, or after this time; undefined where none is. */
  joined(mostMs: number): Promise<void> | undefined;
  /** Another node asks. Must not throw. */
  onRequest(asked: Asked): void;
  /** A client of another node has acknowledged what this node emitted. */
  onAcknowledgement(request: string, response: unknown): void;
  /** A node answers nothing, and its server can't be reached: nobody waits for it until it is heard again. */
  onSilent(node: Member): void;
  onUnreadable(channel: string, offset: number, reason: string): void;
  onError(operation: string, error: unknown): void;
}

export interface Question {
  readonly type: RequestType;
  readonly namespace: string;
  readonly args: readonly unknown[];
  readonly timeoutMs: number;
  /** What it must not overtake. */
  readonly after?: readonly Promise<unknown>[];
}

/** A request is over soon; whoever follows later has no use for it. */
const RETENTION: Retention = { maxEntries: 10_000, maxAgeMs: 60_000 };

/** A question that has not come back here after so long was not asked. */
const PROBE_MS = 5_000;

/** They change nothing, and tell of nothing. */
const QUESTIONS: ReadonlySet<string> = new Set<RequestType>(["fetch", "ids", "count"]);

/** What the answers to these tell of, or the program of another node infers from them, has to be in effect. */
const TELLING: ReadonlySet<RequestType> = new Set<RequestType>(["fetch", "ids", "emit"]);

/**
 * What nodes ask of each other beside the rooms' logs. Requests go to all of them through one log, so that each does
 * them in one order; answers go to the asker's inbox.
 */
export class ControlPlane implements RoomSink {
  readonly requests = new OpenRequests((nodes) => this.#silent.check(nodes));
  readonly #options: ControlPlaneOptions;
  readonly #uid: string;
  readonly #stopListening: () => void;
  readonly #silent: SilentNodes;
  /** Questions to all nodes that have not come back here yet. */
  readonly #probes = new Map<string, () => void>();
  #count = 0;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#uid = options.members.uid;
    this.#silent = new SilentNodes({
      members: options.members,
      probe: () => this.#probe(),
      onSilent: (node) => {
        options.onSilent(node);
        this.requests.gone(node.uid);
      },
    });
    this.#stopListening = options.members.onChange(({ type, node }) => {
      if (type !== "left") return;
      this.#silent.heard(node.uid);
      this.requests.gone(node.uid);
    });
  }

  /** Resolves once this node hears the others. */
  async listen(): Promise<void> {
    const { rooms } = this.#options;
    await Promise.all(
      [CLUSTER_CHANNEL, inboxChannel(this.#uid)].map(
        (channel) => rooms.follow(channel, undefined, this).ready,
      ),
    );
  }

  close(): void {
    this.#stopListening();
    this.#silent.close();
    this.requests.endAll(new HoldfastError("HOLDFAST_CLOSED"));
    this.#options.rooms.dropAll(this);
  }

  nextRequest(): string {
    return `${++this.#count}`;
  }

  /**
   * Asks all other nodes. Never rejects.
   *
   * @param asked whose answers are awaited; of those, who is gone by now, or silent, is not
   */
  ask({ type, namespace, args, timeoutMs, after }: Question, asked?: ReadonlySet<string>): Promise<Answers> {
    const request = this.nextRequest();
    const others = othersOf(this.#options.members);
    const awaited = new Set(
      [...others].filter((node) => asked?.has(node) !== false && !this.#silent.has(node)),
    );
    const answers = this.requests.open(request, awaited, timeoutMs);
    this.#publish({ type, namespace, from: this.#uid, request, args, timeoutMs }, after).catch((error) =>
      this.requests.end(request, error),
    );
    return answers;
  }

  /** Tells all other nodes something that has no answer. Rejects as `EmitQueue.add`. */
  async tell(type: RequestType, namespace: string, args: readonly unknown[]): Promise<void> {
    await this.#publish({ type, namespace, from: this.#uid, args });
  }

  /** Tells one node what a client has answered. */
  acknowledge(node: string, request: string, response: unknown): void {
    this.#attempt(this.#message("acknowledgement", request, [response]), node).catch((error) =>
      this.#options.onError("acknowledgement", error),
    );
  }

  /** Sends a whole answer or a part of it, as it is now. @param after what it must not come before */
  #send(
    node: string,
    request: string,
    values: readonly unknown[],
    parts: number,
    after?: Promise<void>,
  ): void {
    this.#attempt({ ...this.#message("answer", request, values), parts }, node, after).catch((error) => {
      this.#options.onError("answer", error);
      // What can't be said is said to be nothing, so that nobody waits for it.
      this.#attempt({ ...this.#message("answer", request, []), parts }, node).catch(() => undefined);
    });
  }

  #message(type: AnswerType, request: string, args: readonly unknown[]): ControlMessage {
    return { type, namespace: "", from: this.#uid, request, args };
  }

  deliver(_room: undefined, channel: string, entry: Entry): void {
    this.#take(channel, entry.data, entry.offset);
  }

  deliverVolatile(_room: undefined, channel: string, data: Uint8Array): void {
    this.#take(channel, data, 0);
  }

  /** Requests were lost; whoever asked is told by the time that is over. The hub tells the log. */
  reset(): void {}

  async #publish(message: ControlMessage, after?: readonly Promise<unknown>[]): Promise<void> {
    const data = encodeControl(message);
    const order = { isQuestion: QUESTIONS.has(message.type), ...(after && { after }) };
    await this.#options.queue.add([{ channel: CLUSTER_CHANNEL, data, retention: RETENTION }], order);
  }

  /** Asks what every node answers at once, of whatever version. Resolves when the others can have been asked, too. */
  async #probe(): Promise<void> {
    const request = this.nextRequest();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(reject, PROBE_MS).unref();
    this.#probes.set(request, resolve);
    try {
      await this.#publish({ type: "count", namespace: "/", from: this.#uid, request, args: ["", []] });
      await promise;
    } finally {
      clearTimeout(timer);
      this.#probes.delete(request);
    }
  }

  async #attempt(message: ControlMessage, node: string, after?: Promise<void>): Promise<void> {
    const data = encodeControl(message);
    if (after) await after;
    await this.#options.notify(inboxChannel(node), data);
  }

  #take(channel: string, data: Uint8Array, offset: number): void {
    const read = decodeControl(data);
    if (!read.ok) {
      this.#options.onUnreadable(channel, offset, read.reason);
      return;
    }
    const { type, namespace, from, request, args, parts = 1, timeoutMs } = read.value;
    if (from === this.#uid) {
      this.#probes.get(request ?? "")?.();
      return;
    }
    this.#silent.heard(from);
    if (isRequest(type)) {
      if (channel !== CLUSTER_CHANNEL) return;
      const answer = this.#answer(from, request, TELLING.has(type), timeoutMs);
      this.#options.onRequest({ type, namespace, from, args, answer });
    } else if (request !== undefined) {
      if (type === "answer") this.requests.answered(request, from, args, data.length, parts);
      else this.#options.onAcknowledgement(request, args[0]);
    }
  }

  /** @param isTelling it waits for joins: for half the time that the asker does, since it has a way to go, too */
  #answer(
    node: string,
    request: string | undefined,
    isTelling: boolean,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Asked["answer"] {
    let isAnswered = request === undefined;
    return (...parts) => {
      if (isAnswered || request === undefined) return;
      isAnswered = true;
      const after = isTelling ? this.#options.joined(timeoutMs / 2) : undefined;
      for (const values of parts.length === 0 ? [[]] : parts)
        this.#send(node, request, values, Math.max(1, parts.length), after);
    };
  }
}
