import type { Broker, ChannelEvent, Entry, Position, Subscription, Unrecoverable } from "@holdfast/broker";
import { Audience } from "./audience.ts";
import type { HubCounters } from "./counters.ts";
import type { HubEvent } from "./events.ts";
import type { Outlet } from "./outlet.ts";
import type { Sequence, Sequenced, SequencedEvent } from "./sequence.ts";

/** What all channels of a hub share. */
export interface ChannelContext {
  readonly broker: Broker;
  readonly counters: HubCounters;
  readonly sequence: Sequence;
  readonly onEvent: (event: HubEvent) => void;
}

const NOWHERE: Position = { epoch: "", offset: 0, tag: "" };

/**
 * One channel as this node follows it: one subscription at the broker, the position delivered last, and who is
 * live. The position and the live group change together, within one turn of the event loop.
 *
 * A node follows a channel for each of its sockets, so what only few of them need is made when it is needed.
 */
export class Channel implements Sequenced {
  readonly name: string;
  /** Subscribers, those on their way in included, and followings. */
  users = 0;

  readonly #context: ChannelContext;
  readonly #live = new Audience();
  /** Undefined once it has resolved. */
  #followed: Promise<void> | undefined;
  #waiting: Set<() => void> | undefined;
  #subscription: Subscription | undefined;
  #began: Position | undefined;
  #last = NOWHERE;
  #resets = 0;
  #closed = false;

  constructor(name: string, context: ChannelContext) {
    this.name = name;
    this.#context = context;
    this.#followed = this.#follow();
  }

  /** Resolves once `last` is known; rejects as `Broker.subscribe` does. */
  get followed(): Promise<void> {
    return this.#followed ?? Promise.resolve();
  }

  /** Where the broker's subscription began, once it did. */
  get began(): Position | undefined {
    return this.#began;
  }

  /** The position of the entry delivered last on this node. */
  get last(): Position {
    return this.#last;
  }

  /** Changes with every reset: what was read before is of no use after. */
  get resets(): number {
    return this.#resets;
  }

  enter(outlet: Outlet): void {
    this.#live.enter(outlet);
  }

  leave(outlet: Outlet): void {
    this.#live.leave(outlet);
  }

  /** Calls back once, at the next entry or reset; the answer takes it back. */
  onAdvance(listener: () => void): () => void {
    this.#waiting ??= new Set();
    this.#waiting.add(listener);
    return () => this.#waiting?.delete(listener);
  }

  /** Nothing is handed out any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#context.sequence.abreast(this);
    await this.followed.catch(() => {});
    await this.#subscription?.close();
  }

  // Not from a member's cursor by `since`: the engine would read the same pages, for one of those who come together, and
  // without waiting for a subscriber that reads slowly.
  async #follow(): Promise<void> {
    this.#subscription = await this.#context.broker.subscribe(this.name, (event) => this.#on(event));
    this.#followed = undefined;
  }

  #on(event: ChannelEvent): void {
    if (this.#closed) return;
    const { sequence } = this.#context;
    switch (event.type) {
      case "subscribed":
        this.#began = event.position;
        this.#last = event.position;
        break;
      case "behind":
        sequence.behind(this);
        break;
      case "abreast":
        sequence.abreast(this);
        break;
      default:
        sequence.take(this, event);
    }
  }

  /** The sequence's: what comes next on this channel. */
  handOut(event: SequencedEvent): void {
    if (this.#closed) return;
    switch (event.type) {
      case "entry":
        this.#deliver(event.entry);
        break;
      case "reset":
        this.#reset(event.head, event.reason);
        break;
      case "volatile":
        this.#live.each((outlet) => outlet.volatile?.(this.name, event.data));
        break;
    }
  }

  #reset(head: Position, reason: Unrecoverable): void {
    this.#last = head;
    this.#resets++;
    this.#context.counters.resets++;
    this.#live.each((outlet) => outlet.reset(this.name, head, reason));
    this.#context.onEvent({ type: "reset", channel: this.name, reason });
    this.#advance();
  }

  #deliver(entry: Entry): void {
    if (entry.offset <= this.#last.offset) {
      this.#context.counters.stale++;
      return;
    }
    this.#context.counters.entries++;
    this.#last = { epoch: this.#last.epoch, offset: entry.offset, tag: entry.tag };
    this.#live.each((outlet) => outlet.deliver(this.name, entry));
    this.#advance();
  }

  #advance(): void {
    const listeners = this.#waiting;
    if (!listeners) return;
    this.#waiting = undefined;
    for (const listener of listeners) listener();
  }
}
