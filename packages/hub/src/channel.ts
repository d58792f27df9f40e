import type { Broker, ChannelEvent, Entry, Position, Subscription, Unrecoverable } from "@holdfast/broker";
import type { HubCounters } from "./counters.ts";
import type { Outlet } from "./outlet.ts";

/**
 * One channel as this node follows it: one subscription at the broker, the position delivered last, and who is
 * live. The position and the live group change together, within one turn of the event loop.
 */
export class Channel {
  readonly name: string;
  /** Resolves once `last` is known; rejects as `Broker.subscribe` does. */
  readonly followed: Promise<void>;
  /** Told of every reset, after the live group was. */
  readonly onReset: (reason: Unrecoverable) => void;
  /** Subscribers, those on their way in included. */
  members = 0;

  readonly #counters: HubCounters;
  readonly #live = new Map<Outlet, number>();
  readonly #waiting = new Set<() => void>();
  #subscription: Subscription | undefined;
  #last: Position = { epoch: "", offset: 0, tag: "" };
  #resets = 0;

  constructor(name: string, broker: Broker, counters: HubCounters, onReset: (reason: Unrecoverable) => void) {
    this.name = name;
    this.onReset = onReset;
    this.#counters = counters;
    this.followed = this.#follow(broker);
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
    this.#live.set(outlet, (this.#live.get(outlet) ?? 0) + 1);
  }

  leave(outlet: Outlet): void {
    const left = (this.#live.get(outlet) ?? 0) - 1;
    if (left > 0) this.#live.set(outlet, left);
    else this.#live.delete(outlet);
  }

  /** Calls back once, at the next entry or reset; the answer takes it back. */
  onAdvance(listener: () => void): () => void {
    this.#waiting.add(listener);
    return () => this.#waiting.delete(listener);
  }

  async close(): Promise<void> {
    await this.followed.catch(() => {});
    await this.#subscription?.close();
  }

  async #follow(broker: Broker): Promise<void> {
    this.#subscription = await broker.subscribe(this.name, (event) => this.#on(event));
  }

  #on(event: ChannelEvent): void {
    switch (event.type) {
      case "subscribed":
        this.#last = event.position;
        break;
      case "entry":
        this.#deliver(event.entry);
        break;
      case "reset":
        this.#last = event.head;
        this.#resets++;
        this.#counters.resets++;
        for (const outlet of this.#live.keys()) outlet.reset(this.name, event.head, event.reason);
        this.onReset(event.reason);
        this.#advance();
        break;
    }
  }

  #deliver(entry: Entry): void {
    if (entry.offset <= this.#last.offset) {
      this.#counters.stale++;
      return;
    }
    this.#counters.entries++;
    this.#last = { epoch: this.#last.epoch, offset: entry.offset, tag: entry.tag };
    for (const outlet of this.#live.keys()) outlet.deliver(this.name, entry);
    if (this.#waiting.size > 0) this.#advance();
  }

  #advance(): void {
    const listeners = [...this.#waiting];
    this.#waiting.clear();
    for (const listener of listeners) listener();
  }
}
