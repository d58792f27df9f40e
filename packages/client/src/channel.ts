import { backoffMs } from "./backoff.ts";
import { formatCursor, isOffset, isPosition, type Position } from "./cursor.ts";
import { Emitter } from "./emitter.ts";
import { ClientError } from "./errors.ts";
import { Holding } from "./holding.ts";
import type { Link } from "./link.ts";
import { type Reset, type SubscribeAnswer, UNREADABLE, type WireError } from "./wire.ts";

export interface Message {
  readonly event: string;
  readonly data: unknown;
  /** The entry's number in its channel. */
  readonly offset: number;
  /** The place after this message. Keep it, and a later subscribe goes on from here. */
  readonly cursor: string;
}

/** A subscription was made: the first time, or again after a reconnect. */
export interface Subscribed {
  /** False: the messages go on from a new place, so state has to be loaded. */
  readonly recovered: boolean;
  /** Messages that were missed and now follow. 0 unless recovered. */
  readonly missed: number;
}

/** Why state has to be loaded: no cursor was given; it can't be continued from; messages were lost on the way. */
export type StateReason = "start" | "unrecovered" | "reset";

export interface SubscribeOptions {
  /** Go on after this place. Absent: at the channel's head. */
  readonly cursor?: string;
  /**
   * Loads the application's state when messages can't simply be continued. Called once the place in the log is
   * taken, so the state is at least as new as that; messages wait until it is done, and some of them may be in the
   * state already.
   */
  readonly getState?: (reason: StateReason) => Promise<void> | void;
}

export interface ChannelEvents {
  message: Message;
  /** What is worthless a second later: handed to those who are there, with no place in the channel's order. */
  volatile: { readonly event: string; readonly data: unknown };
  subscribed: Subscribed;
  /** All that was missed has been delivered. */
  recovered: { readonly count: number };
  /** Messages were lost, or the channel began anew. */
  reset: { readonly reason: string };
  /** An entry that is no message; its place is counted. */
  unreadable: { readonly offset: number; readonly cursor: string };
  error: ClientError;
}

/**
 * One channel as this client sees it: every message once, in the channel's order, across reconnects and servers.
 *
 * It takes only the entry right after the last; older ones are duplicates, and one further on means that something
 * is missing, so it subscribes again with its cursor.
 */
export class Channel {
  readonly name: string;
  readonly #link: Link;
  readonly #emitter: Emitter<ChannelEvents>;
  readonly #holding: Holding;
  #options: SubscribeOptions | undefined;
  #position: Position | undefined;
  #shown: string | undefined;
  /** Only the newest request's answer counts. */
  #request = 0;
  #isLive = false;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #recovering: { readonly head: number; readonly count: number } | undefined;
  #settle:
    | { readonly resolve: (value: Subscribed) => void; readonly reject: (error: ClientError) => void }
    | undefined;

  constructor(name: string, link: Link, maxHeldMessages: number) {
    this.name = name;
    this.#link = link;
    this.#emitter = new Emitter((cause) => this.#fail(new ClientError("LISTENER_FAILED", { cause })));
    this.#holding = new Holding(maxHeldMessages);
  }

  /** The place after the message delivered last, as text; undefined until subscribed. */
  get cursor(): string | undefined {
    return this.#shown;
  }

  on<Name extends keyof ChannelEvents>(
    name: Name,
    listener: (value: ChannelEvents[Name]) => void,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  /**
   * Subscribes, and again whenever the connection was lost, until `unsubscribe`. Resolves at the first success;
   * while there is no connection, or the server can't, it waits and tries again.
   *
   * @throws ClientError `SUBSCRIBE_REFUSED` where trying again is of no use, `CLIENT_CLOSED`
   */
  subscribe(options: SubscribeOptions = {}): Promise<Subscribed> {
    this.#stop(new ClientError("SUBSCRIBE_REFUSED", { detail: "another subscribe replaced this one" }));
    this.#options = options;
    this.#position = undefined;
    this.#shown = options.cursor;
    const subscribed = new Promise<Subscribed>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever does not wait for it hears of a refusal by the "error" event.
    subscribed.catch(() => {});
    this.#ask();
    return subscribed;
  }

  /** No message is delivered after this. The cursor stays, for a later subscribe. */
  unsubscribe(): void {
    if (!this.#options) return;
    this.#stop(new ClientError("SUBSCRIBE_REFUSED", { detail: "unsubscribed" }));
    if (this.#link.connected) this.#link.unsubscribe(this.name);
  }

  /** The connection was made. */
  connected(): void {
    this.#failures = 0;
    this.#ask();
  }

  /** The connection was lost; what was asked on it is not answered any more. */
  disconnected(): void {
    this.#request++;
    this.#isLive = false;
    clearTimeout(this.#retry);
  }

  /** The client was closed. */
  close(): void {
    this.#stop(new ClientError("CLIENT_CLOSED"));
  }

  /** An entry arrived. What a server sends is checked like anything else from outside. */
  entry(offset: unknown, tag: unknown, event: unknown, data: unknown): void {
    const position = this.#position;
    if (!this.#options || !position || !isOffset(offset) || typeof tag !== "string") return;
    if (typeof event !== "string" || offset <= position.offset) return;
    if (offset > position.offset + 1) {
      // What was turned away while state is loaded is asked for once it is.
      if (this.#isLive && !this.#holding.hasRefused) this.#again();
      return;
    }
    if (!this.#holding.admit()) return;
    this.#failures = 0;
    this.#position = { epoch: position.epoch, offset, tag };
    const cursor = formatCursor(this.#position);
    this.#holding.run(() => {
      this.#shown = cursor;
      if (event === UNREADABLE) this.#emitter.emit("unreadable", { offset, cursor });
      else this.#emitter.emit("message", { event, data, offset, cursor });
      this.#checkRecovered(offset);
    });
  }

  /** Something of the moment arrived. */
  volatile(event: unknown, data: unknown): void {
    if (this.#isLive && typeof event === "string") this.#emitter.emit("volatile", { event, data });
  }

  /** Entries were lost to the server, or the log began anew. */
  reset(reset: Reset): void {
    if (!this.#options || !this.#position || !isPosition(reset)) return;
    this.#take(reset);
    this.#emitter.emit("reset", { reason: String(reset.reason) });
    this.#load("reset");
  }

  /** The server ended the subscription. */
  ended(error: WireError): void {
    if (this.#options && this.#isLive) this.#refused(error);
  }

  #ask(): void {
    clearTimeout(this.#retry);
    if (!this.#options || !this.#link.connected) return;
    this.#isLive = false;
    const request = ++this.#request;
    const cursor = this.#position ? formatCursor(this.#position) : this.#options.cursor;
    this.#link.subscribe(
      cursor === undefined ? { channel: this.name } : { channel: this.name, cursor },
      (answer) => {
        if (request === this.#request) this.#answered(answer, cursor);
      },
    );
  }

  #answered(answer: SubscribeAnswer | undefined, cursor: string | undefined): void {
    if (!answer) {
      this.#later();
    } else if (!answer.ok) {
      this.#refused(answer.error);
    } else if (!isPosition(answer) || !isOffset(answer.head)) {
      this.#fail(new ClientError("ANSWER_INVALID", { detail: "to a subscribe" }));
      this.#later();
    } else {
      this.#begin(answer, cursor === undefined ? "start" : "unrecovered");
    }
  }

  #begin(answer: SubscribeAnswer & { ok: true }, reason: StateReason): void {
    this.#isLive = true;
    const { recovered, epoch, offset, head } = answer;
    // Entries of the subscription that this one replaces may have come in between.
    const isAhead = recovered && this.#position?.epoch === epoch && this.#position.offset >= offset;
    if (!isAhead) this.#take(answer);
    const count = recovered ? Math.max(0, head - (this.#position?.offset ?? head)) : 0;
    const subscribed = { recovered, missed: count };
    if (recovered) this.#recovering = { head, count };
    this.#settle?.resolve(subscribed);
    this.#emitter.emit("subscribed", subscribed);
    if (recovered) this.#holding.run(() => this.#checkRecovered(this.#position?.offset ?? head));
    else this.#load(reason);
  }

  #refused(error: WireError): void {
    this.#isLive = false;
    if (error?.retryable === true) {
      this.#later();
      return;
    }
    const refused = new ClientError("SUBSCRIBE_REFUSED", {
      detail: String(error?.message),
      serverCode: String(error?.code),
    });
    this.#stop(refused);
    this.#fail(refused);
  }

  /** A new place, which does not follow from what was before: what is held is of before. */
  #take(position: Position): void {
    this.#holding.clear();
    this.#recovering = undefined;
    this.#position = { epoch: position.epoch, offset: position.offset, tag: position.tag };
    this.#shown = formatCursor(this.#position);
  }

  #load(reason: StateReason): void {
    const getState = this.#options?.getState;
    if (!getState) return;
    this.#holding.holdWhile(
      () => getState(reason),
      (cause) => this.#fail(new ClientError("STATE_FAILED", { cause })),
      (hasRefused) => {
        if (hasRefused) this.#ask();
      },
    );
  }

  #checkRecovered(offset: number): void {
    const recovering = this.#recovering;
    if (!recovering || offset < recovering.head) return;
    this.#recovering = undefined;
    this.#emitter.emit("recovered", { count: recovering.count });
  }

  /** Something is missing: at once the first time, later if that did not help. */
  #again(): void {
    if (this.#failures > 0) {
      this.#later();
      return;
    }
    this.#failures++;
    this.#ask();
  }

  #later(): void {
    this.#isLive = false;
    this.#request++;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#ask(), backoffMs(this.#failures++));
  }

  #stop(reason: ClientError): void {
    this.#options = undefined;
    this.#request++;
    this.#isLive = false;
    this.#failures = 0;
    clearTimeout(this.#retry);
    this.#holding.clear();
    this.#recovering = undefined;
    this.#settle?.reject(reason);
    this.#settle = undefined;
  }

  #fail(error: ClientError): void {
    if (error.code === "LISTENER_FAILED" || !this.#emitter.emit("error", error))
      this.#link.report(error, this.name);
  }
}
