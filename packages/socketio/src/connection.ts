import type { Entry, Position, Unrecoverable } from "@holdfast/broker";
import type { HubBinding } from "@holdfast/hub";
import type { Socket } from "socket.io";
import { nextDrain, queuedBytes } from "./backlog.ts";
import type { BindingCounters } from "./counters.ts";
import { type EntryArguments, entrySize } from "./entry.ts";
import { type EndCode, toWireError, wireError } from "./errors.ts";
import type { BindingEvent } from "./events.ts";
import type { BindingSettings } from "./options.ts";
import { type ChannelRequest, readCursor, readRequest } from "./request.ts";
import { Subscription } from "./subscription.ts";
import { EVENTS, type SubscribeAnswer, type UnsubscribeAnswer } from "./wire.ts";

/** What all connections of one binding share. */
export interface ConnectionContext {
  readonly members: HubBinding;
  readonly settings: BindingSettings;
  readonly counters: BindingCounters;
  /** To this node's sockets in a room. */
  emitLocally(room: string, event: string, ...args: unknown[]): void;
  toArguments(channel: string, entry: Entry): EntryArguments;
  onEvent(event: BindingEvent): void;
}

/** The room that holds a channel's live subscribers on this node. */
export function groupOf(channel: string): string {
  return `holdfast:channel:${channel}`;
}

/** One socket's subscriptions, and what is written to that socket alone. */
export class Connection {
  readonly #socket: Socket;
  readonly #context: ConnectionContext;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #crowdedBytes: number;
  #underWay = 0;
  #sinceLook = 0;

  constructor(socket: Socket, context: ConnectionContext) {
    this.#socket = socket;
    this.#context = context;
    this.#crowdedBytes = context.settings.maxQueuedBytes / 4;
    context.counters.connections++;
    socket.on(EVENTS.subscribe, this.#onSubscribe);
    socket.on(EVENTS.unsubscribe, this.#onUnsubscribe);
    // Not on "disconnect": by then Socket.IO's own recovery has saved the rooms, and would put a socket back into
    // a live group without the way through the log.
    socket.on("disconnecting", this.#onDisconnecting);
  }

  /** Ends all subscriptions and tells the client that it may go on elsewhere; the socket itself stays. Idempotent. */
  close(): void {
    for (const [channel, { begun }] of [...this.#subscriptions]) {
      this.#end(channel, "SERVER_CLOSING");
      if (begun) this.#send(EVENTS.ended, channel, wireError("SERVER_CLOSING"));
    }
    this.#letGo();
  }

  isCurrent(subscription: Subscription): boolean {
    return this.#subscriptions.get(subscription.channel) === subscription;
  }

  sendEntry(channel: string, entry: Entry): void {
    this.#context.counters.caughtUp++;
    this.#sinceLook += entrySize(channel, entry);
    this.#send(EVENTS.entry, ...this.#context.toArguments(channel, entry));
  }

  sendReset(channel: string, head: Position, reason: Unrecoverable): void {
    this.#send(EVENTS.reset, channel, { epoch: head.epoch, offset: head.offset, tag: head.tag, reason });
  }

  joinGroup(channel: string): void {
    this.#socket.join(groupOf(channel));
  }

  leaveGroup(channel: string): void {
    this.#socket.leave(groupOf(channel));
  }

  /** Whether so much waits for this client that a resume should give it time. */
  isCrowded(): boolean {
    if (this.#sinceLook < this.#crowdedBytes / 8) return false;
    this.#sinceLook = 0;
    return queuedBytes(this.#socket) > this.#crowdedBytes;
  }

  /** Resolves once little waits for this client, or it has gone. */
  async drained(): Promise<void> {
    while (this.#socket.connected && queuedBytes(this.#socket) > this.#crowdedBytes / 2) {
      await nextDrain(this.#socket);
    }
  }

  /** The same way that live entries take, so that neither overtakes the other. */
  #send(event: string, ...args: unknown[]): void {
    this.#context.emitLocally(this.#socket.id, event, ...args);
  }

  readonly #onSubscribe = (...args: unknown[]): void => {
    const answer = answerOf<SubscribeAnswer>(args);
    if (!answer) return;
    const { counters, members } = this.#context;
    const request = this.#admit(args[0]);
    if (!request.ok) {
      counters.refused++;
      answer(request);
      return;
    }
    const { channel } = request;
    this.#end(channel, "SUBSCRIPTION_REPLACED");

    const subscription = new Subscription(channel, this, answer);
    this.#subscriptions.set(channel, subscription);
    counters.subscriptions++;
    this.#underWay++;
    subscription
      .start(members.join(channel, readCursor(request.cursor), subscription))
      .catch((error) => this.#failed(subscription, error))
      .finally(() => this.#underWay--);
  };

  readonly #onUnsubscribe = (...args: unknown[]): void => {
    const answer = answerOf<UnsubscribeAnswer>(args);
    const request = readRequest(args[0]);
    if (!request.ok) {
      answer?.(request);
      return;
    }
    this.#end(request.channel, "SUBSCRIPTION_ENDED");
    answer?.({ ok: true });
  };

  readonly #onDisconnecting = (): void => {
    this.#context.counters.connections--;
    this.#letGo();
  };

  #letGo(): void {
    this.#socket.off(EVENTS.subscribe, this.#onSubscribe);
    this.#socket.off(EVENTS.unsubscribe, this.#onUnsubscribe);
    this.#socket.off("disconnecting", this.#onDisconnecting);
    for (const channel of [...this.#subscriptions.keys()]) this.#end(channel, "SUBSCRIPTION_ENDED");
  }

  #admit(payload: unknown): ChannelRequest {
    const request = readRequest(payload);
    if (!request.ok) return request;
    const { maxSubscriptions } = this.#context.settings;
    if (this.#subscriptions.size >= maxSubscriptions && !this.#subscriptions.has(request.channel)) {
      return { ok: false, error: wireError("SUBSCRIPTIONS_TOO_MANY") };
    }
    // Replaced ones count too, until the broker has answered what was asked for them.
    if (this.#underWay >= maxSubscriptions) return { ok: false, error: wireError("SUBSCRIBES_TOO_MANY") };
    return request;
  }

  #failed(subscription: Subscription, error: unknown): void {
    if (!this.isCurrent(subscription)) return;
    const { channel } = subscription;
    this.#subscriptions.delete(channel);
    this.#context.counters.subscriptions--;
    if (subscription.begun) {
      this.#context.onEvent({ type: "ended", socket: this.#socket.id, channel, error });
      this.#send(EVENTS.ended, channel, toWireError(error));
    } else {
      this.#context.counters.refused++;
      subscription.fail(toWireError(error));
    }
  }

  #end(channel: string, code: EndCode): void {
    const subscription = this.#subscriptions.get(channel);
    if (!subscription) return;
    this.#subscriptions.delete(channel);
    this.#context.counters.subscriptions--;
    subscription.end(code);
  }
}

/** The acknowledgement, which Socket.IO appends when the client asked for one. */
function answerOf<Answer>(args: readonly unknown[]): ((answer: Answer) => void) | undefined {
  const last = args.at(-1);
  return typeof last === "function" ? (last as (answer: Answer) => void) : undefined;
}
