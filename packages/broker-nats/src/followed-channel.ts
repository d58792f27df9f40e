import {
  BrokerError,
  type History,
  type Position,
  type SubscribeOptions,
  type Subscription,
} from "@holdfast/broker";
import { type ChannelHost, type Listener, RemoteChannel } from "@holdfast/broker/engine";
import { RepublishHeaders } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription as NatsSubscription } from "@nats-io/transport-node";
import { decodeRecord, entriesOf, headOf, isSameTag, type StoredRecord } from "./record.ts";

/** What a followed channel needs of its broker. */
export interface FollowHost {
  /** What a channel's records are told of at. */
  subject(channel: string): string;
  connection(): NatsConnection | undefined;
  /** The channel's newest record now; the channel is begun where there is none. */
  newest(channel: string): Promise<StoredRecord>;
  read(channel: string, since: Position): Promise<History>;
  /** As `ChannelHost.fence`; absent where channels have no order among them. */
  readonly fence?: (() => Promise<void>) | undefined;
  /** Nobody is subscribed any more. */
  leave(channel: FollowedChannel): void;
  /** The log had more than was told of. */
  repaired(channel: string): void;
  readonly onListenerError: (error: unknown) => void;
  readonly subscribeMs: number;
}

/** Volatile messages that are held for those who are on the way in. */
const HELD = 64;

/**
 * One channel's live feed. The server tells of a record once it is stored, with its place in the stream. Each record names
 * the tag of the entry before it, so a record that was not told of, or a log that was rolled back, shows at the next one;
 * then the log is read, and what is between is delivered from there, or a reset.
 */
export class FollowedChannel {
  readonly name: string;
  readonly #host: FollowHost;
  readonly #channel: RemoteChannel;
  #subscription: { readonly nats: NatsConnection; readonly subscription: NatsSubscription } | undefined;
  /** Where the newest record ends that was read or told of. Undefined while the newest one is being asked for. */
  #at: Position | undefined;
  #seq = 0;
  /** The newest record that was told of while the newest one was being asked for. */
  #meanwhile: StoredRecord | undefined;
  /** Volatile messages, likewise. */
  readonly #volatile: Uint8Array[] = [];
  /** Counts up whenever what is asked for no longer matters. */
  #round = 0;

  constructor(name: string, host: FollowHost) {
    this.name = name;
    this.#host = host;
    const channel: ChannelHost = {
      follow: () => this.up(),
      leave: () => this.#leave(),
      read: (_name, since) => host.read(name, since),
      fence: () => host.fence?.(),
      onListenerError: host.onListenerError,
      subscribeMs: host.subscribeMs,
    };
    this.#channel = new RemoteChannel(name, channel);
  }

  /** The place of the newest record that is known here; undefined while that is being found out. */
  get seq(): number | undefined {
    return this.#at && this.#seq;
  }

  join(listener: Listener, options: SubscribeOptions): Promise<Subscription> {
    return this.#channel.join(listener, options);
  }

  /** There is a connection; or the feed is to be compared with the log. */
  up(): void {
    const nats = this.#host.connection();
    if (!nats) return;
    if (this.#subscription?.nats !== nats) {
      this.#subscription?.subscription.unsubscribe();
      // Where it is refused, the audit finds what is stored all the same.
      const callback = (error: Error | null, message: Msg) => {
        if (!error) this.#told(message);
      };
      this.#subscription = {
        nats,
        subscription: nats.subscribe(this.#host.subject(this.name), { callback }),
      };
    }
    void this.#find(++this.#round);
  }

  /** The connection is gone. */
  away(): void {
    this.#round++;
    this.#at = undefined;
    this.#channel.away();
  }

  /** Ends all subscriptions without an event. */
  end(error: BrokerError): void {
    this.#unsubscribe();
    this.#channel.end(error);
  }

  /** Whether the channel's newest record, which somebody has read, was not told of. */
  lacks(newest: StoredRecord): boolean {
    return this.#at !== undefined && (newest.seq > this.#seq || headOf(newest).offset > this.#at.offset);
  }

  /** Compares the feed with the channel's newest record. */
  compare(newest: StoredRecord): void {
    if (!this.lacks(newest)) return;
    this.#host.repaired(this.name);
    this.#take(newest);
  }

  /** The subscription went out before this question does, so every record that is newer than the answer is told of. */
  async #find(round: number): Promise<void> {
    // What is told of meanwhile waits, while other channels go on.
    if (this.#at) this.#channel.away();
    this.#at = undefined;
    this.#meanwhile = undefined;
    let newest: StoredRecord;
    try {
      newest = await this.#host.newest(this.name);
    } catch (error) {
      if (round !== this.#round) return;
      this.#channel.refused(error instanceof BrokerError ? error : new BrokerError("BROKER_UNAVAILABLE"));
      return;
    }
    if (round !== this.#round) return;
    const meanwhile = this.#meanwhile as StoredRecord | undefined;
    const head = headOf(newest);
    const isLater = meanwhile !== undefined && meanwhile.seq > newest.seq;
    const last = isLater && continues(meanwhile, head) ? meanwhile : newest;
    this.#at = headOf(last);
    this.#seq = last.seq;
    this.#channel.subscribed(head, this.#at.offset);
    for (const data of this.#volatile.splice(0)) this.#channel.notify(data);
    if (isLater) this.#take(meanwhile);
  }

  #told({ subject, data, headers }: Msg): void {
    if (subject.endsWith(".v")) {
      // Who is on the way in hears of what came after it was asked for.
      if (this.#at) this.#channel.notify(new Uint8Array(data));
      else if (this.#volatile.length < HELD) this.#volatile.push(new Uint8Array(data));
      return;
    }
    const seq = Number(headers?.get(RepublishHeaders.Sequence));
    const record = Number.isSafeInteger(seq) && seq > 0 ? decodeRecord(data, seq) : undefined;
    if (!record) return;
    if (this.#at) this.#take(record);
    else this.#meanwhile = record;
  }

  #take(record: StoredRecord): void {
    const at = this.#at;
    if (!at) return;
    const isNext = record.offset === at.offset + 1;
    if (record.seq === this.#seq && !isNext) return;
    // Where it is the next one its place is no matter: another leader may count otherwise.
    if (!continues(record, at) || (record.seq < this.#seq && !isNext)) {
      // Of before the answer, or of another log: the newest record tells.
      this.up();
      return;
    }
    this.#at = headOf(record);
    this.#seq = record.seq;
    for (const entry of entriesOf(record)) this.#channel.entry(entry);
  }

  #leave(): void {
    this.#unsubscribe();
    this.#host.leave(this);
  }

  #unsubscribe(): void {
    this.#round++;
    this.#subscription?.subscription.unsubscribe();
    this.#subscription = undefined;
  }
}

/** Whether a record comes after a position of the same log, as far as can be seen: right after it, or with some between. */
function continues({ epoch, offset, before }: StoredRecord, at: Position): boolean {
  return (
    epoch === at.epoch && (offset === at.offset + 1 ? isSameTag(before, at.tag) : offset > at.offset + 1)
  );
}
