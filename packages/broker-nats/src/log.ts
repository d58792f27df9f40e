import { randomUUID } from "node:crypto";
import { BrokerError } from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { AckPolicy, DeliverPolicy, type MsgRequest } from "@nats-io/jetstream";
import { Chain } from "./chain.ts";
import type { Connection, Ready } from "./connection.ts";
import { isConflict } from "./failures.ts";
import { decodeRecord, encodeRecord, type Record, type StoredRecord } from "./record.ts";
import type { ServerClock } from "./server-clock.ts";
import type { Subjects } from "./subjects.ts";
import { type Stored, storeSuccessor } from "./successor.ts";

const EPOCH_CHARACTERS = 12;
const ID_CHARACTERS = 8;
/** Records that are asked for at once when many are read. */
const RECORDS_AT_ONCE = 256;
/** A consumer that its node forgot is gone after this long. */
const CONSUMER_MS = 10_000;
const MS = 1_000_000;
const NOTHING = new Uint8Array();

/** The channels' records in their streams: single steps, each of which asks the stream's leader. */
export class Log {
  readonly #connection: Connection;
  readonly #subjects: Subjects;
  readonly #clock: ServerClock;

  constructor(connection: Connection, subjects: Subjects, clock: ServerClock) {
    this.#connection = connection;
    this.#subjects = subjects;
    this.#clock = clock;
  }

  newId(): string {
    return randomText(ID_CHARACTERS);
  }

  /** A channel's newest record. A channel that has none is begun, with an epoch of its own and no entry. */
  async open(channel: string, deadline: number): Promise<StoredRecord> {
    const last = await this.last(channel, deadline);
    if (last) return last;
    const first = this.first();
    await this.#connection.call(deadline, async (ready) => {
      // Who loses the race finds the winner's record below; a lost answer is no matter, either.
      await this.#store(ready, channel, encodeRecord(first), 0).catch((error) => {
        if (!isConflict(error)) throw error;
      });
    });
    const made = await this.last(channel, deadline);
    if (!made) throw new BrokerError("BROKER_UNAVAILABLE", "The channel could not be made.");
    return made;
  }

  /** What a log begins with. */
  first(): Record {
    return {
      id: this.newId(),
      epoch: randomText(EPOCH_CHARACTERS),
      offset: 1,
      before: "",
      previous: 0,
      time: this.#clock.now(),
      first: 1,
      retention: undefined,
      bytes: 0,
      milestones: [],
      claims: [],
      entries: [],
    };
  }

  last(channel: string, deadline: number): Promise<StoredRecord | undefined> {
    return this.#get(channel, { last_by_subj: this.#subjects.log(channel) }, deadline);
  }

  /** The record at this place of the stream, if it is one of this channel. */
  at(channel: string, seq: number, deadline: number): Promise<StoredRecord | undefined> {
    return this.#get(channel, { seq }, deadline);
  }

  /** A channel's first record at this place of the stream or after it. */
  next(channel: string, seq: number, deadline: number): Promise<StoredRecord | undefined> {
    // The client's type doesn't know that the leader, too, takes both (nats-server, JSApiMsgGetRequest).
    const query: MsgRequest & { readonly next_by_subj: string } = {
      seq,
      next_by_subj: this.#subjects.log(channel),
    };
    return this.#get(channel, query, deadline);
  }

  /**
   * Resolves when the stream's leader has done all that was agreed on before. One that has just become it answers before it has
   * (nats-server before 2.11), and would take a record that was stored already once more.
   */
  async settled(channel: string, deadline: number): Promise<void> {
    const mark = this.#subjects.logMark(this.#subjects.partitionOf(channel));
    await this.#connection.call(deadline, ({ stream }) => stream.publish(mark, NOTHING));
  }

  /**
   * Appends a record if the channel's newest one is still the one at `expected`. Tries once.
   *
   * @throws what NATS says; `isConflict` tells when another was newer
   */
  append(channel: string, bytes: Uint8Array, expected: number, deadline: number): Promise<Stored> {
    return this.#connection.once(deadline, (ready) => this.#store(ready, channel, bytes, expected));
  }

  /**
   * Reads a channel's records from one place of the stream to another, both included, as long as `take` wants more: those that
   * count, as the one at `to` has to. Needs a few round trips, however many they are.
   */
  range(
    channel: string,
    from: number,
    to: number,
    deadline: number,
    take: (record: StoredRecord) => boolean,
  ): Promise<void> {
    let next = from;
    const chain = new Chain(to, take);
    return this.#connection.call(deadline, async ({ stream, manager }) => {
      const name = this.#subjects.streamOf(channel);
      const info = await manager.consumers.add(name, {
        name: `page-${randomUUID()}`,
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: next,
        filter_subject: this.#subjects.log(channel),
        inactive_threshold: CONSUMER_MS * MS,
        mem_storage: true,
        num_replicas: 1,
      });
      try {
        const consumer = stream.consumers.getConsumerFromInfo(info);
        while (next <= to) {
          // The server takes whole milliseconds only, and ends a request with any other at once.
          const expires = Math.floor(Math.max(1000, Math.min(deadline - performance.now(), 5000)));
          const messages = await consumer.fetch({ max_messages: RECORDS_AT_ONCE, expires });
          const before = next;
          for await (const message of messages) {
            const record = decode(message.data, message.seq);
            next = message.seq + 1;
            if (!chain.add(record)) return;
          }
          if (next === before) throw new Error("the records did not come in time");
        }
      } finally {
        void manager.consumers.delete(name, info.name).catch(() => undefined);
      }
    });
  }

  /** Deletes a channel's records before this place of the stream. */
  async purge(channel: string, before: number, deadline: number): Promise<void> {
    await this.#connection.call(deadline, ({ manager }) =>
      manager.streams.purge(this.#subjects.streamOf(channel), {
        filter: this.#subjects.log(channel),
        seq: before,
      }),
    );
  }

  #store(ready: Ready, channel: string, bytes: Uint8Array, expected: number): Promise<Stored> {
    const subjects = this.#subjects;
    const mark = subjects.logMark(subjects.partitionOf(channel));
    const place = { stream: subjects.streamOf(channel), subject: subjects.log(channel), mark };
    return storeSuccessor(ready, place, bytes, expected);
  }

  async #get(channel: string, query: MsgRequest, deadline: number): Promise<StoredRecord | undefined> {
    const message = await this.#connection.call(deadline, ({ manager }) =>
      manager.streams.getMessage(this.#subjects.streamOf(channel), query),
    );
    if (!message || message.subject !== this.#subjects.log(channel)) return undefined;
    return decode(message.data, message.seq);
  }
}

function decode(data: Uint8Array, seq: number): StoredRecord {
  const record = decodeRecord(data, seq);
  if (!record) throw new BrokerError("BROKER_UNAVAILABLE", `The message ${seq} in its stream is no record.`);
  return record;
}
