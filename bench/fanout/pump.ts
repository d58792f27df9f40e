import { setTimeout as sleep } from "node:timers/promises";
import type { SubjectProcess } from "../subject-process.ts";
import type { Batch, LoadCalls } from "./calls.ts";

/** A message that has not reached everybody after this long is lost. */
const RECEIVE_TIMEOUT_MS = 10_000;

/** Has the server send messages to a subject's subscribers. */
export interface Publisher {
  /** Has messages sent in one tick. */
  publish(batch: Batch): void;
  /** Rejects when the server fails. */
  readonly failure: Promise<never>;
}

/** Numbers messages, and sees that all of them arrive. */
export class Pump {
  readonly #publisher: Publisher;
  readonly #load: SubjectProcess<LoadCalls>;
  #next = 0;

  constructor(publisher: Publisher, load: SubjectProcess<LoadCalls>) {
    this.#publisher = publisher;
    this.#load = load;
  }

  /**
   * Publishes batch after batch, each when every subscriber has the one before, so that none waits in a queue.
   *
   * @throws Error when a message is lost, doubled or overtaken, or a process ends.
   */
  async send(messages: number, batch: number): Promise<void> {
    const end = this.#next + messages;
    while (this.#next < end) {
      this.#publish(Math.min(batch, end - this.#next));
      await this.#received();
    }
  }

  /** Publishes one message after the other at a rate, whoever has them, and awaits the last. @throws as `send` */
  async sendAtRate(messages: number, perSecond: number): Promise<void> {
    const started = performance.now();
    for (let sent = 0; sent < messages; ) {
      const due = Math.min(messages, Math.floor(((performance.now() - started) * perSecond) / 1000) + 1);
      for (; sent < due; sent++) this.#publish(1);
      const pause = started + (sent * 1000) / perSecond - performance.now();
      if (sent < messages) await sleep(Math.max(0, pause));
    }
    await this.#received();
  }

  #publish(count: number): void {
    this.#publisher.publish({ first: this.#next, count });
    this.#next += count;
  }

  async #received(): Promise<void> {
    const received = this.#load.call("received", { next: this.#next, timeoutMs: RECEIVE_TIMEOUT_MS });
    await Promise.race([received, this.#publisher.failure]);
  }
}
