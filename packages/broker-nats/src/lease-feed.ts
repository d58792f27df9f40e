import { BrokerError } from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import type { Connection, Ready } from "./connection.ts";
import { decodeLease, encodeLease, type LeaseMessage } from "./lease-messages.ts";
import type { ServerClock } from "./server-clock.ts";
import type { Subjects } from "./subjects.ts";

export interface LeaseFeedHost {
  /** The messages begin anew, with all that there are. */
  begin(): void;
  /** One message, in order. @param time the server's, in milliseconds. */
  message(message: LeaseMessage, seq: number, time: number): void;
  /** What was given since `begin` is all that there was. */
  current(): void;
}

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
}

/** How often those who wait look whether the feed goes on, at most. */
const LOOK_MS = 100;

/**
 * The stream of leases as this node is given it, from its beginning and again from there whenever the connection was made anew; how far it
 * has come.
 */
export class LeaseFeed {
  readonly #connection: Connection;
  readonly #subjects: Subjects;
  readonly #clock: ServerClock;
  readonly #host: LeaseFeedHost;
  readonly #stallMs: number;
  readonly #waiters = new Set<Waiter>();
  #stop: (() => void) | undefined;
  #round = 0;
  #seq = 0;
  #isCurrent = false;
  /** How often it has become current. */
  #times = 0;
  #mark: { readonly id: string; readonly at: number } | undefined;
  #sending: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  /** When it was last given something, or begun anew. */
  #movedAt = 0;

  /** @param stallMs so long nothing may come that is in the stream */
  constructor(
    connection: Connection,
    subjects: Subjects,
    clock: ServerClock,
    host: LeaseFeedHost,
    stallMs: number,
  ) {
    this.#stallMs = stallMs;
    this.#connection = connection;
    this.#subjects = subjects;
    this.#clock = clock;
    this.#host = host;
  }

  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** There is a connection. */
  up(ready: Ready): void {
    this.#movedAt = performance.now();
    void this.#follow(ready, ++this.#round);
  }

  /** The connection is gone; what was known stays, but may not be so any more. */
  down(): void {
    this.#round++;
    this.#isCurrent = false;
    this.#stop?.();
    this.#stop = undefined;
  }

  end(): void {
    this.down();
    for (const { resolve } of [...this.#waiters]) resolve();
  }

  /**
   * Resolves when everything that was written before this call was given: a mark is written behind it, and awaited. Calls of one time
   * share one.
   *
   * @throws BrokerError
   */
  barrier(deadline: number): Promise<void> {
    this.#queued ??= this.#sending
      .catch(() => undefined)
      .then(() => {
        this.#queued = undefined;
        this.#sending = this.#sendMark(deadline);
        return this.#sending;
      });
    return this.#queued;
  }

  /** Resolves when the message at this place of the stream was given. @throws BrokerError `BROKER_UNAVAILABLE` */
  async given(seq: number, deadline: number): Promise<void> {
    const since = this.#times;
    const begun = performance.now();
    while (!this.#isCurrent || this.#seq < seq) {
      const left = deadline - performance.now();
      if (left <= 0) throw new BrokerError("BROKER_UNAVAILABLE", "The leases are not up to date.");
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiter = { seq, resolve };
      const timer = setTimeout(resolve, Math.min(left, LOOK_MS, this.#stallMs));
      this.#waiters.add(waiter);
      await promise;
      clearTimeout(timer);
      this.#waiters.delete(waiter);
      this.#goOn(begun);
      // Where it was begun anew, the table is whole again: what was waited for is in it, or will never be.
      if (this.#isCurrent && this.#times !== since) return;
    }
  }

  /**
   * Somebody waits for what is in the stream. The server that gives it may be gone while the one that this node is connected to lives, and
   * the client would find that out after a minute.
   *
   * @param begun when the waiting began, by `performance.now()`
   */
  #goOn(begun: number): void {
    const { ready } = this.#connection;
    const from = Math.max(begun, this.#movedAt);
    if (ready && performance.now() - from > this.#stallMs) this.up(ready);
  }

  async #sendMark(deadline: number): Promise<void> {
    const seq = await this.#connection.call(deadline, (ready) => this.#writeMark(ready));
    await this.given(seq, deadline);
  }

  async #writeMark({ stream }: Ready): Promise<number> {
    const id = randomText(8);
    this.#mark = { id, at: performance.now() };
    const { seq } = await stream.publish(this.#subjects.leaseMark, encodeLease({ type: "mark", id }));
    return seq;
  }

  async #follow(ready: Ready, round: number): Promise<void> {
    this.#isCurrent = false;
    this.#stop?.();
    this.#stop = undefined;
    try {
      const consumer = await ready.stream.consumers.getPushConsumer(this.#subjects.leaseStream, {
        deliver_policy: DeliverPolicy.All,
      });
      // All that was written before is given when this mark is.
      const end = await this.#writeMark(ready);
      if (round !== this.#round) return void consumer.delete().catch(() => undefined);
      this.#seq = 0;
      this.#host.begin();
      const messages = await consumer.consume({
        callback: (message) => {
          if (round === this.#round) this.#take(message, end);
        },
      });
      const stop = () => {
        messages.stop();
        void consumer.delete().catch(() => undefined);
      };
      if (round === this.#round) this.#stop = stop;
      else stop();
    } catch {
      setTimeout(() => round === this.#round && this.up(ready), 200).unref();
    }
  }

  #take(message: JsMsg, end: number): void {
    const { seq, data } = message;
    const time = message.time.getTime();
    const decoded = decodeLease(data);
    this.#seq = seq;
    this.#movedAt = performance.now();
    if (decoded?.type === "mark") {
      if (decoded.id === this.#mark?.id) this.#clock.compare(this.#mark.at, performance.now(), time);
    } else if (decoded) this.#host.message(decoded, seq, time);
    if (!this.#isCurrent && seq >= end) {
      this.#isCurrent = true;
      this.#times++;
      this.#host.current();
      for (const { resolve } of [...this.#waiters]) resolve();
    } else if (this.#isCurrent)
      for (const waiter of [...this.#waiters]) if (waiter.seq <= seq) waiter.resolve();
  }
}
