import { setTimeout as pause } from "node:timers/promises";
import { BrokerError } from "./errors.ts";
import { Feed, isSame, type Listener } from "./feed.ts";
import type { Entry, History, Position, SubscribeOptions, Subscription, Unrecoverable } from "./port.ts";

/** What a channel needs of its connection. */
export interface ChannelHost {
  /** Asks the server to follow the channel; `subscribed` or `refused` answers. Dropped while there is no connection. */
  follow(channel: string): void;
  /** The last listener has left. */
  leave(channel: string): void;
  /** Reads on from a position. Rejects when it can't be read now. */
  read(channel: string, since: Position): Promise<History>;
  /**
   * Resolves once everything has been pushed here that was before the call. Only where what is read can be newer than what
   * has been pushed so far, on this channel and others: then there is order among them again. May reject.
   */
  fence?(): Promise<void> | undefined;
  readonly onListenerError: (error: unknown) => void;
  /** How long a subscriber waits for the server. */
  readonly subscribeMs: number;
}

interface Waiter {
  readonly listener: Listener;
  readonly options: SubscribeOptions;
  readonly resolve: (subscription: Subscription | Promise<Subscription>) => void;
  readonly reject: (error: BrokerError) => void;
  readonly timer: NodeJS.Timeout;
}

const RETRY_MS = 200;

/**
 * One channel of a broker behind a connection, shared by all its listeners in this process.
 *
 * When the connection was made again, or an entry is missing, the log is read from the last delivered entry up to the
 * newest offset that the server has told of. Live entries that arrive meanwhile are not held: each only says how far
 * there is to read. So nothing needs a buffer, and the entry after the last one read is the next live one. Listeners are
 * told `behind` before, and `abreast` after.
 */
export class RemoteChannel {
  readonly name: string;
  readonly #host: ChannelHost;
  readonly #waiters = new Set<Waiter>();
  #feed: Feed | undefined;
  /** `away`: the server does not follow it yet; `behind`: entries are being read; `live`: the next one is pushed. */
  #state: "away" | "behind" | "live" = "away";
  /** How far to read. */
  #target = 0;
  /** Counts up whenever what is being read no longer matters. */
  #round = 0;

  constructor(name: string, host: ChannelHost) {
    this.name = name;
    this.#host = host;
    host.follow(name);
  }

  /** The last entry that was delivered here, or where it began; undefined before it began. */
  get position(): Position | undefined {
    return this.#feed?.position;
  }

  /** @throws BrokerError `BROKER_UNAVAILABLE` and what the server refuses a channel with */
  join(listener: Listener, options: SubscribeOptions = {}): Promise<Subscription> {
    if (this.#feed && this.#state === "live") return this.#feed.join(listener, options);
    return new Promise((resolve, reject) => {
      const late = () =>
        this.#rejectWaiter(waiter, new BrokerError("BROKER_UNAVAILABLE", "No answer in time."));
      const waiter = { listener, options, resolve, reject, timer: setTimeout(late, this.#host.subscribeMs) };
      this.#waiters.add(waiter);
    });
  }

  /**
   * The server follows the channel now: every entry after the head will be pushed.
   *
   * @param told the newest offset that was pushed already, before the head was known here: it is read up to there, since
   *   what was pushed on other channels meanwhile has been delivered
   */
  subscribed(head: Position, told = 0): void {
    this.#feed ??= new Feed(this.name, head, {
      read: (_channel, since) => this.#host.read(this.name, since),
      empty: () => this.#leaveIfEmpty(),
      onListenerError: this.#host.onListenerError,
    });
    if (isSame(head, this.#feed.position) && told <= head.offset) this.#goLive();
    else void this.#catchUp(Math.max(head.offset, told));
  }

  refused(error: BrokerError): void {
    this.rejectWaiters(error);
    if (!this.#feed || this.#feed.size === 0) return;
    const round = ++this.#round;
    setTimeout(() => round === this.#round && this.#host.follow(this.name), RETRY_MS).unref();
  }

  entry(entry: Entry): void {
    if (this.#state === "behind") this.#target = Math.max(this.#target, entry.offset);
    else if (this.#state === "live" && this.#feed && !this.#feed.deliver(entry))
      void this.#catchUp(entry.offset);
  }

  notify(data: Uint8Array): void {
    this.#feed?.notify(data);
  }

  reset(head: Position, reason: Unrecoverable): void {
    if (this.#state === "away" || !this.#feed) return;
    this.#feed.reset(head, reason);
    this.#goLive();
  }

  /** The connection is gone; the listeners stay. */
  away(): void {
    this.#state = "away";
    this.#round++;
    this.#feed?.behind();
  }

  rejectWaiters(error: BrokerError): void {
    for (const waiter of [...this.#waiters]) this.#rejectWaiter(waiter, error);
  }

  /** Ends all subscriptions without an event. */
  end(error: BrokerError): void {
    this.#round++;
    this.#feed?.end();
    this.rejectWaiters(error);
  }

  #goLive(hasRead = false): void {
    const round = ++this.#round;
    this.#state = "live";
    const fence = hasRead ? this.#host.fence?.() : undefined;
    if (fence) void this.#pass(fence, round);
    else this.#feed?.abreast();
    for (const waiter of [...this.#waiters]) {
      if (!this.#feed || this.#state !== "live") return;
      this.#waiters.delete(waiter);
      clearTimeout(waiter.timer);
      waiter.resolve(this.#feed.join(waiter.listener, waiter.options));
    }
  }

  /** What was read may be newer than what is still on its way for other channels, so it is not abreast of them before. */
  async #pass(first: Promise<void>, round: number): Promise<void> {
    for (let fence: Promise<void> | undefined = first; ; fence = this.#host.fence?.()) {
      try {
        await fence;
        if (round === this.#round) this.#feed?.abreast();
        return;
      } catch {
        await pause(RETRY_MS, undefined, { ref: false });
        if (round !== this.#round) return;
      }
    }
  }

  async #catchUp(target: number): Promise<void> {
    const feed = this.#feed;
    if (!feed) return;
    this.#state = "behind";
    this.#target = target;
    const round = ++this.#round;
    feed.behind();
    do {
      const went = await this.#readOn(feed, () => round === this.#round);
      if (round !== this.#round) return;
      if (!went) await pause(RETRY_MS, undefined, { ref: false });
      if (round !== this.#round) return;
    } while (feed.position.offset < this.#target);
    this.#goLive(true);
  }

  /** One page. @returns whether it was read. */
  async #readOn(feed: Feed, isCurrent: () => boolean): Promise<boolean> {
    const target = this.#target;
    let history: History;
    try {
      history = await this.#host.read(this.name, feed.position);
    } catch {
      return false;
    }
    if (!isCurrent()) return true;
    if (history.type === "unrecoverable") {
      feed.reset(history.head, history.reason);
      return true;
    }
    // A head short of what had been pushed before is a log that was rolled back: read to where it is now. What was
    // pushed since is not in this answer, and stays to be read.
    if (this.#target === target) this.#target = Math.min(target, history.head.offset);
    for (const entry of history.entries) {
      if (!isCurrent()) return true;
      if (!feed.deliver(entry)) return false;
    }
    return history.entries.length > 0 || feed.position.offset >= this.#target;
  }

  #rejectWaiter(waiter: Waiter, error: BrokerError): void {
    clearTimeout(waiter.timer);
    this.#waiters.delete(waiter);
    waiter.reject(error);
    this.#leaveIfEmpty();
  }

  #leaveIfEmpty(): void {
    if (this.#waiters.size > 0 || (this.#feed && this.#feed.size > 0)) return;
    this.#round++;
    this.#host.leave(this.name);
  }
}
