import type { Entry, Position, Unrecoverable } from "@holdfast/broker";
import type { Arrival, Membership, Start } from "@holdfast/hub";
import type { Connection } from "./connection.ts";
import { type EndCode, wireError } from "./errors.ts";
import type { SubscribeAnswer, WireError } from "./wire.ts";

/** One channel of one socket: from the request on, until replaced, unsubscribed or disconnected. */
export class Subscription implements Arrival {
  readonly channel: string;
  readonly #connection: Connection;
  readonly #answer: (answer: SubscribeAnswer) => void;
  #membership: Membership | undefined;
  #begun = false;
  #isLive = false;

  constructor(channel: string, connection: Connection, answer: (answer: SubscribeAnswer) => void) {
    this.channel = channel;
    this.#connection = connection;
    this.#answer = answer;
  }

  /** Whether the request was answered: from then on, a failure is told with an event. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Resolves once live or ended; rejects as `Membership.joined` does. */
  start(membership: Membership): Promise<void> {
    this.#membership = membership;
    return membership.joined;
  }

  /** No entry is sent any more. A request that was not answered yet is, with the error. */
  end(code: EndCode): void {
    this.#membership?.leave();
    if (this.#isLive) this.#connection.leaveGroup(this.channel);
    if (!this.#begun) this.fail(wireError(code));
  }

  fail(error: WireError): void {
    this.#begun = true;
    this.#answer({ ok: false, error });
  }

  begin(start: Start): void {
    this.#begun = true;
    const { epoch, offset, tag } = start.position;
    this.#answer({ ok: true, recovered: start.recovered, epoch, offset, tag, head: start.head });
  }

  entries(entries: readonly Entry[]): Promise<void> | undefined {
    for (const [index, entry] of entries.entries()) {
      this.#connection.sendEntry(this.channel, entry);
      if (this.#connection.isCrowded()) return this.#rest(entries.slice(index + 1));
    }
    return undefined;
  }

  reset(head: Position, reason: Unrecoverable): void {
    this.#connection.sendReset(this.channel, head, reason);
  }

  live(): void {
    this.#isLive = true;
    this.#connection.joinGroup(this.channel);
  }

  async #rest(entries: readonly Entry[]): Promise<void> {
    await this.#connection.drained();
    if (this.#connection.isCurrent(this)) await this.entries(entries);
  }
}
