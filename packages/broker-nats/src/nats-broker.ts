import {
  type Abilities,
  type Broker,
  BrokerError,
  type BrokerStatus,
  type ChannelEvent,
  type History,
  type HistoryQuery,
  type Publication,
  type Published,
  type PublishOptions,
  type PublishOutcome,
  type SubscribeOptions,
  type Subscription,
} from "@holdfast/broker";
import {
  checkBatch,
  checkHistory,
  checkNotify,
  checkPublish,
  checkSubscribe,
  Status,
  Turns,
} from "@holdfast/broker/engine";
import { abilitiesOf, durabilityOf } from "./abilities.ts";
import { Audit } from "./audit.ts";
import { ChannelWriter } from "./channel-writer.ts";
import { Connection, type Ready } from "./connection.ts";
import { FollowedChannel } from "./followed-channel.ts";
import { HistoryReader } from "./history.ts";
import { Keys } from "./keys.ts";
import { Log } from "./log.ts";
import { NatsLeases } from "./nats-leases.ts";
import { type NatsBrokerOptions, readOptions, readUrl, type Settings, type Target } from "./options.ts";
import { Pending } from "./pending.ts";
import { RECORD_BYTES, type StoredRecord } from "./record.ts";
import { ServerClock } from "./server-clock.ts";
import { StreamFence } from "./stream-fence.ts";
import { prepareStreams } from "./streams.ts";
import { Subjects } from "./subjects.ts";
import { Trimmer } from "./trimmer.ts";

/** Channels whose newest record is asked for at one time; and logs that are read at one time. */
const FINDING = 256;
const READING = 32;
/** What a waiting publish costs beside its data, about. */
const JOB_BYTES = 256;
/** How often it is looked for what retention has dropped. */
const TRIM_MS = 5000;
/** Writers that are kept although they have nothing to write, since they know their channel's newest record. */
const IDLE_WRITERS = 10_000;

/**
 * A broker on NATS JetStream. Logs are spread over a few streams, one subject for each channel; each node is told of what
 * is stored for the channels that it follows, and no consumer is kept for any client.
 *
 * Calls wait for the connection, and survive its loss, for `requestMs`.
 *
 * @throws BrokerError `BROKER_URL_INVALID`, `OPTIONS_INVALID`, `RETENTION_INVALID`
 */
export function openNatsBroker(url: string, options: NatsBrokerOptions = {}): Broker {
  const { target, options: named } = readUrl(url);
  return new NatsBroker(target, readOptions({ ...named, ...options }));
}

class NatsBroker implements Broker {
  readonly abilities: Abilities;
  readonly leases: NatsLeases;
  readonly #settings: Settings;
  readonly #subjects: Subjects;
  readonly #connection: Connection;
  readonly #clock: ServerClock;
  readonly #log: Log;
  readonly #keys: Keys;
  readonly #reader: HistoryReader;
  readonly #trimmer: Trimmer;
  readonly #audit: Audit;
  readonly #fence: StreamFence | undefined;
  readonly #status: Status;
  readonly #pending: Pending;
  readonly #writers = new Map<string, ChannelWriter>();
  readonly #channels = new Map<string, FollowedChannel>();
  readonly #finding = new Turns(FINDING);
  readonly #reading = new Turns(READING);
  #closed = false;

  constructor(target: Target, settings: Settings) {
    this.abilities = abilitiesOf(settings);
    this.#settings = settings;
    this.#subjects = new Subjects(settings.prefix, settings.partitions);
    const waiting = new BrokerError("BROKER_UNAVAILABLE", "The connection is being made.");
    this.#status = new Status({ type: "unavailable", error: waiting }, settings.onListenerError);
    this.#pending = new Pending(settings.maxPending, settings.maxPendingBytes);
    this.#connection = new Connection(target, settings, {
      prepare: (ready) => this.#prepare(ready),
      up: (ready) => this.#up(ready),
      down: (error) => this.#down(error),
    });
    this.#clock = new ServerClock(this.#subjects);
    this.#log = new Log(this.#connection, this.#subjects, this.#clock);
    if (settings.partitions === 1)
      this.#fence = new StreamFence(this.#connection, this.#subjects, this.#log, settings.tryMs);
    this.#keys = new Keys(this.#connection, this.#subjects);
    this.#reader = new HistoryReader(this.#log, this.#clock, settings.retention);
    this.#trimmer = new Trimmer(this.#log, this.#clock, {
      retention: settings.retention,
      keepMs: settings.idempotencyMs,
      sweepMs: TRIM_MS,
    });
    this.#audit = new Audit(this.#connection, this.#subjects, this.#log, settings, {
      channels: () => this.#channels.values(),
      changed: () => this.#forgetTails(),
      alive: () => this.#connection.ready && this.#status.available(),
      dead: (error) => this.#status.unavailable(error),
    });
    this.leases = new NatsLeases(this.#connection, this.#subjects, this.#clock, settings);
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions = {}): Promise<Published> {
    this.#refuse();
    checkPublish(channel, data, options);
    this.#checkRetention(options);
    this.#refuseLarge(data);
    return this.#pending.run(data.length + JOB_BYTES, () => this.#append(channel, data, options));
  }

  async publishAll(publications: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    this.#refuse();
    checkBatch(publications);
    const bytes = publications.reduce((sum, { data }) => sum + (data?.length ?? 0) + JOB_BYTES, 0);
    return this.#pending.run(bytes, () =>
      Promise.all(
        publications.map(async ({ channel, data, ...options }): Promise<PublishOutcome> => {
          try {
            checkPublish(channel, data, options);
            this.#checkRetention(options);
            this.#refuseLarge(data);
          } catch (error) {
            if (error instanceof BrokerError) return { type: "refused", error };
            throw error;
          }
          return { type: "published", ...(await this.#append(channel, data, options)) };
        }),
      ),
    );
  }

  async notify(channel: string, data: Uint8Array): Promise<void> {
    this.#refuse();
    checkNotify(channel, data);
    this.#refuseLarge(data);
    const own = new Uint8Array(data);
    await this.#pending.run(own.length + JOB_BYTES, () =>
      this.#connection.call(this.#deadline(), async ({ nats }) => {
        nats.publish(this.#subjects.volatile(channel), own);
        await within(nats.flush(), this.#settings.tryMs);
      }),
    );
  }

  async subscribe(
    channel: string,
    listener: (event: ChannelEvent) => void,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#refuse();
    checkSubscribe(channel, options);
    return this.#follow(channel).join(listener, options);
  }

  async history(channel: string, query: HistoryQuery): Promise<History> {
    this.#refuse();
    checkHistory(channel, query);
    return this.#pending.run(JOB_BYTES, () => this.#reader.read(channel, query, this.#deadline()));
  }

  watch(listener: (status: BrokerStatus) => void): () => void {
    return this.#status.watch(listener);
  }

  /** Calls that have no answer yet reject with `BROKER_CLOSED`; what they asked for may have happened. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const error = new BrokerError("BROKER_CLOSED");
    this.#status.end();
    this.leases.end();
    this.#audit.end();
    this.#fence?.down();
    this.#trimmer.end();
    for (const channel of this.#channels.values()) channel.end(error);
    this.#channels.clear();
    await this.#connection.close();
  }

  #append(channel: string, data: Uint8Array, options: PublishOptions): Promise<Published> {
    const { idempotencyKey: key, retention } = options;
    return new Promise((resolve, reject) => {
      // The caller may use its buffer again before it is sent.
      const job = { data: new Uint8Array(data), key, retention, deadline: this.#deadline(), resolve, reject };
      this.#writer(channel).add(job);
    });
  }

  #writer(channel: string): ChannelWriter {
    const present = this.#writers.get(channel);
    if (present) {
      this.#writers.delete(channel);
      this.#writers.set(channel, present);
      return present;
    }
    const writer = new ChannelWriter(channel, {
      log: this.#log,
      keys: this.#keys,
      clock: this.#clock,
      retention: this.#settings.retention,
      idle: () => this.#forgetWriters(),
      written: (name, tail) => this.#trimmer.written(name, tail),
    });
    this.#writers.set(channel, writer);
    return writer;
  }

  #forgetTails(): void {
    for (const writer of this.#writers.values()) writer.forget();
  }

  #forgetWriters(): void {
    if (this.#writers.size <= IDLE_WRITERS) return;
    for (const [channel, writer] of this.#writers) {
      if (!writer.isIdle) continue;
      this.#writers.delete(channel);
      return;
    }
  }

  #follow(channel: string): FollowedChannel {
    const present = this.#channels.get(channel);
    if (present) return present;
    const fence = this.#fence;
    const followed = new FollowedChannel(channel, {
      subject: (name) => this.#subjects.following(name),
      connection: () => this.#connection.ready?.nats,
      newest: (name) => this.#newest(name),
      read: (name, since) => this.#reading.run(() => this.#reader.read(name, { since }, this.#deadline())),
      fence: fence && (() => fence.passed()),
      leave: (left) => {
        if (this.#channels.get(left.name) === left) this.#channels.delete(left.name);
      },
      repaired: (name) => this.#settings.onEvent({ type: "repaired", channel: name }),
      onListenerError: this.#settings.onListenerError,
      subscribeMs: this.#settings.requestMs,
    });
    this.#channels.set(channel, followed);
    return followed;
  }

  #newest(channel: string): Promise<StoredRecord> {
    return this.#finding.run(() => this.#log.open(channel, this.#deadline()));
  }

  async #prepare(ready: Ready): Promise<void> {
    const facts = await prepareStreams(ready, this.#subjects, this.#settings);
    await this.#clock.start(ready);
    const { server_name: server = "", version = "" } = ready.nats.info ?? {};
    this.#settings.onEvent({
      type: "connected",
      server,
      version,
      ...facts,
      durability: durabilityOf(facts),
    });
  }

  #up(ready: Ready): void {
    this.leases.up(ready);
    this.#audit.restart();
    this.#forgetTails();
    this.#fence?.up(ready);
    for (const channel of this.#channels.values()) channel.up();
    this.#status.available();
  }

  #down(error: BrokerError): void {
    this.leases.down();
    this.#fence?.down();
    for (const channel of this.#channels.values()) channel.away();
    this.#status.unavailable(error);
  }

  #deadline(): number {
    return performance.now() + this.#settings.requestMs;
  }

  #refuseLarge(data: Uint8Array): void {
    const server = (this.#connection.ready?.maxPayload ?? Number.POSITIVE_INFINITY) - RECORD_BYTES;
    const limit = Math.min(this.#settings.maxEntryBytes, server);
    if (data.length > limit)
      throw new BrokerError("ENTRY_TOO_LARGE", `It has ${data.length} bytes; the limit is ${limit}.`);
  }

  #checkRetention({ retention }: PublishOptions): void {
    const { forgetChannelAfterMs } = this.#settings;
    if (retention && retention.maxAgeMs > forgetChannelAfterMs)
      throw new BrokerError(
        "RETENTION_INVALID",
        `This broker keeps entries for ${forgetChannelAfterMs} ms at most.`,
      );
  }

  #refuse(): void {
    if (this.#closed) throw new BrokerError("BROKER_CLOSED");
  }
}

async function within(work: Promise<void>, ms: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = () => reject(new BrokerError("BROKER_UNAVAILABLE", "No answer in time."));
  const timer = setTimeout(late, ms);
  try {
    await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
