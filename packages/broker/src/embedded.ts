import type { Abilities } from "./abilities.ts";
import { CommitGroup } from "./commit-group.ts";
import { EmbeddedLeases } from "./embedded-leases.ts";
import { BrokerError } from "./errors.ts";
import { Feed, type FeedHost } from "./feed.ts";
import type { LeaseTable } from "./lease-table.ts";
import {
  checkBatch,
  checkHistory,
  checkNotify,
  checkPublish,
  checkRetention,
  checkSubscribe,
} from "./limits.ts";
import type { Channel } from "./log-rows.ts";
import { storeError } from "./log-schema.ts";
import { LogStore, newEpoch, positionOf } from "./log-store.ts";
import { type Bounds, readNumbers } from "./options.ts";
import type {
  Broker,
  BrokerStatus,
  ChannelEvent,
  Entry,
  History,
  HistoryQuery,
  Position,
  Publication,
  Published,
  PublishOptions,
  PublishOutcome,
  Retention,
  SubscribeOptions,
  Subscription,
} from "./port.ts";
import { Status, warnOfListener } from "./status.ts";

export interface EmbeddedBrokerOptions {
  /** The SQLite file. Absent: the logs are in memory and end with the process. */
  readonly path?: string;
  /** What is kept of a channel that was published to without a retention of its own. Default 10,000 entries, 1 hour. */
  readonly retention?: Retention;
  /** The largest entry. Default 1 MiB. */
  readonly maxEntryBytes?: number;
  /** Default 1,000,000. Past it a new name is refused with `CHANNEL_LIMIT`. */
  readonly maxChannels?: number;
  /** Publishes that wait for a commit. Past it they are refused with `BROKER_UNAVAILABLE`. Default 64 MiB. */
  readonly maxWaitingBytes?: number;
  /** How long an idempotency key is remembered. Default and least 5 minutes. */
  readonly idempotencyMs?: number;
  /** Past it a publish with a new key is refused with `BROKER_UNAVAILABLE`. Default 5,000,000. */
  readonly maxIdempotencyKeys?: number;
  /** Default 1,000,000. Past it a new one is refused with `LEASE_LIMIT`. */
  readonly maxLeases?: number;
  /** How large the file may grow, its write-ahead log not counted. Past it: `BROKER_FULL`. Default 1 TiB. */
  readonly maxFileBytes?: number;
  /** A channel without entries and subscribers is forgotten after this long without a publish. Default 7 days. */
  readonly forgetChannelAfterMs?: number;
  /** How often what is past its time is dropped from the store. It is invisible before. Default 1 s. */
  readonly sweepMs?: number;
  /** Milliseconds since 1970. Default the system's clock. */
  readonly clock?: () => number;
  /** Told what a listener threw. Default: a Node warning. */
  readonly onListenerError?: (error: unknown) => void;
}

const DEFAULTS = {
  maxEntryBytes: 1024 * 1024,
  maxChannels: 1_000_000,
  maxWaitingBytes: 64 * 1024 * 1024,
  idempotencyMs: 5 * 60_000,
  maxIdempotencyKeys: 5_000_000,
  maxLeases: 1_000_000,
  maxFileBytes: 2 ** 40,
  forgetChannelAfterMs: 7 * 24 * 3_600_000,
  sweepMs: 1000,
};

const BOUNDS: Bounds<typeof DEFAULTS> = {
  maxEntryBytes: [1, 64 * 1024 * 1024],
  maxChannels: [1, 100_000_000],
  maxWaitingBytes: [1, 2 ** 31],
  idempotencyMs: [5 * 60_000, 24 * 3_600_000],
  maxIdempotencyKeys: [1, 100_000_000],
  maxLeases: [1, 100_000_000],
  maxFileBytes: [128 * 1024, 2 ** 43],
  forgetChannelAfterMs: [1000, 365 * 24 * 3_600_000],
  sweepMs: [1, 3_600_000],
};

const RETENTION: Retention = { maxEntries: 10_000, maxAgeMs: 3_600_000 };

const ALL: Abilities = {
  durable: true,
  atomicBatch: true,
  oneSequence: true,
  retention: true,
  volatile: true,
  backwards: true,
  leases: true,
};
const IN_MEMORY = "It keeps its logs in the memory of its process; name a file to keep them.";

/** Publishes in one transaction; more than this no longer makes the single one much cheaper. */
const MAX_GROUP = 2000;

/** What a waiting publish costs beside its data, about. */
const JOB_BYTES = 256;

const SWEEP_AGAIN_MS = 20;

/**
 * A broker inside this process, on SQLite: in memory, or in one file which it holds alone. With a file, an accepted
 * entry is on the disk.
 *
 * A channel's epoch is random, made when the channel is first used, and kept as long as the file. In memory, a channel
 * that is subscribed and was never published to costs no row until it is left: a node follows one for each of its sockets.
 *
 * @throws BrokerError `OPTIONS_INVALID`, `RETENTION_INVALID`, `STORE_IN_USE`, `STORE_UNUSABLE`
 */
export function openEmbeddedBroker(options: EmbeddedBrokerOptions = {}): Broker {
  const { path, retention = RETENTION, clock = Date.now, onListenerError = warnOfListener } = options;
  const others = ["path", "retention", "clock", "onListenerError"];
  const numbers = readNumbers(options, DEFAULTS, BOUNDS, others);
  if (path !== undefined && (typeof path !== "string" || path === "" || path.includes("\0")))
    throw new BrokerError("OPTIONS_INVALID", "path is the name of a file.");
  checkRetention(retention);
  return new EmbeddedBroker(path, { ...numbers, retention, clock, onListenerError });
}

type Settings = typeof DEFAULTS &
  Required<Pick<EmbeddedBrokerOptions, "retention" | "clock" | "onListenerError">>;

class EmbeddedBroker implements Broker {
  readonly abilities: Abilities;
  readonly leases: LeaseTable;
  readonly #settings: Settings;
  readonly #store: LogStore;
  readonly #group: CommitGroup;
  readonly #status: Status;
  readonly #leases: EmbeddedLeases;
  readonly #feeds = new Map<string, Feed>();
  readonly #host: FeedHost;
  /** What the transaction under way has appended; delivered once it is committed. */
  #accepted: { readonly channel: string; readonly entry: Entry }[] = [];
  #sweeping: NodeJS.Timeout | undefined;
  /** There may be channels that have a feed and no row. */
  #hasUnwritten = false;
  #wasCrowded = false;
  #closed = false;

  constructor(path: string | undefined, settings: Settings) {
    this.#settings = settings;
    // One for all channels: a node has one for each of its sockets.
    this.#host = {
      read: (channel, since) => this.history(channel, { since }),
      empty: (channel) => this.#emptied(channel),
      onListenerError: settings.onListenerError,
    };
    this.abilities = { ...ALL, durable: path === undefined ? IN_MEMORY : true };
    this.#store = new LogStore(path, settings, settings.clock());
    this.#status = new Status({ type: "available" }, settings.onListenerError);
    this.#group = new CommitGroup(
      { maxGroup: MAX_GROUP, maxWaitingBytes: settings.maxWaitingBytes },
      (work) => this.#store.transaction(work),
      (error) => this.#settled(error),
    );
    this.#leases = new EmbeddedLeases(this.#store.leases, {
      change: (bytes, work) => this.#group.add(bytes + JOB_BYTES, work),
      read: (work) => this.#reading(work),
      refuseClosed: () => this.#refuseClosed(),
      ...settings,
    });
    this.leases = this.#leases;
    this.#sweepIn(settings.sweepMs);
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions = {}): Promise<Published> {
    this.#refuseClosed();
    checkPublish(channel, data, options);
    this.#refuseLarge(data);
    // The caller may use its buffer again before the commit, and listeners may keep what they are given.
    const own = new Uint8Array(data);
    return this.#group.add(own.length + JOB_BYTES, () => this.#append(channel, own, options));
  }

  async publishAll(publications: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    this.#refuseClosed();
    checkBatch(publications);
    let bytes = 0;
    const appends = publications.map(({ channel, data, ...options }) => {
      try {
        checkPublish(channel, data, options);
        this.#refuseLarge(data);
      } catch (error) {
        return () => {
          throw error;
        };
      }
      const own = new Uint8Array(data);
      bytes += own.length + JOB_BYTES;
      return () => this.#append(channel, own, options);
    });
    // One job is one part of one transaction: all of it is committed, or nothing.
    return this.#group.add(bytes, () => appends.map(outcomeOf));
  }

  async notify(channel: string, data: Uint8Array): Promise<void> {
    this.#refuseClosed();
    checkNotify(channel, data);
    this.#refuseLarge(data);
    this.#feeds.get(channel)?.notify(new Uint8Array(data));
  }

  async subscribe(
    channel: string,
    listener: (event: ChannelEvent) => void,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    checkSubscribe(channel, options);
    this.#refuseClosed();
    const feed = this.#feeds.get(channel) ?? this.#unwritten(channel);
    if (feed) return feed.join(listener, options);
    const row = await this.#channel(channel);
    return this.#feed(channel, positionOf(row)).join(listener, options);
  }

  async history(channel: string, query: HistoryQuery): Promise<History> {
    checkHistory(channel, query);
    const row = await this.#channel(channel);
    return this.#reading(() => this.#store.page(row, query, this.#settings.clock()));
  }

  watch(listener: (status: BrokerStatus) => void): () => void {
    return this.#status.watch(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#sweeping);
    for (const feed of this.#feeds.values()) feed.end();
    this.#feeds.clear();
    this.#leases.end();
    this.#status.end();
    this.#group.flush();
    this.#store.close();
  }

  #append(name: string, data: Uint8Array, options: PublishOptions): Published {
    const now = this.#settings.clock();
    const channel = this.#open(name, now);
    const appended = this.#store.append(channel, data, options, now);
    if (appended.type === "duplicate")
      return { position: appended.position, seq: appended.seq, duplicate: true };
    this.#accepted.push({ channel: name, entry: appended.entry });
    return { position: positionOf(channel), seq: appended.entry.seq, duplicate: false };
  }

  /** The channel's row. A new one is committed before its epoch is told to anybody. */
  async #channel(name: string): Promise<Channel> {
    this.#refuseClosed();
    const found = this.#reading(() => this.#store.find(name));
    if (found) return found;
    await this.#group.add(JOB_BYTES, () => this.#open(name, this.#settings.clock()));
    this.#refuseClosed();
    const made = this.#reading(() => this.#store.find(name));
    if (!made) throw new BrokerError("BROKER_UNAVAILABLE", "The channel could not be made.");
    return made;
  }

  /** In a transaction. What was told of a channel that has no row yet stays true once it has one. */
  #open(name: string, now: number): Channel {
    const found = this.#store.find(name);
    if (found) return found;
    if (this.#isCrowded && this.#hasUnwritten) {
      for (const [other, { position }] of this.#feeds) this.#store.open(other, now, position.epoch);
      this.#hasUnwritten = false;
    }
    return this.#store.open(name, now, this.#feeds.get(name)?.position.epoch);
  }

  /** There might be as many channels as there may be: until they are far fewer, each has a row, and is counted. */
  get #isCrowded(): boolean {
    const [most, max] = [this.#store.channelCount + this.#feeds.size, this.#settings.maxChannels];
    this.#wasCrowded = most >= (this.#wasCrowded ? max / 2 : max);
    return this.#wasCrowded;
  }

  /** The feed of a channel that nobody knows yet, where its epoch need not outlive this process; undefined for any other. */
  #unwritten(name: string): Feed | undefined {
    if (this.abilities.durable === true || this.#isCrowded) return undefined;
    if (this.#reading(() => this.#store.find(name))) return undefined;
    this.#hasUnwritten = true;
    return this.#feed(name, { epoch: newEpoch(), offset: 0, tag: "" });
  }

  /** The last listener has left: now the row has to tell the channel's epoch. */
  #emptied(name: string): void {
    const feed = this.#feeds.get(name);
    if (!feed) return;
    const leave = () => {
      if (feed.size === 0 && this.#feeds.get(name) === feed) this.#feeds.delete(name);
    };
    // An entry was delivered, or the row was there before.
    if (this.abilities.durable === true || feed.position.offset > 0) leave();
    else void this.#group.add(JOB_BYTES, () => this.#open(name, this.#settings.clock())).then(leave, leave);
  }

  #feed(channel: string, position: Position): Feed {
    const present = this.#feeds.get(channel);
    if (present) return present;
    const feed = new Feed(channel, position, this.#host);
    this.#feeds.set(channel, feed);
    return feed;
  }

  #settled(error: unknown): void {
    const accepted = this.#accepted;
    this.#accepted = [];
    const changes = this.#store.leases.takeChanges();
    if (error instanceof Error) {
      this.#status.unavailable(error);
      return;
    }
    this.#status.available();
    this.#leases.changed(changes);
    for (const { channel, entry } of accepted) {
      const feed = this.#feeds.get(channel);
      if (feed && !feed.deliver(entry)) this.#catchUp(channel, feed);
    }
  }

  /** A commit that failed may have been made all the same: what it holds is then read, and nothing is left out. */
  #catchUp(channel: string, feed: Feed): void {
    try {
      let history: History | undefined;
      do {
        const row = this.#closed ? undefined : this.#store.find(channel);
        history = row && this.#store.page(row, { since: feed.position }, this.#settings.clock());
        if (history?.type === "unrecoverable") feed.reset(history.head, history.reason);
        else for (const entry of history?.entries ?? []) feed.deliver(entry);
      } while (history && feed.position.offset < history.head.offset);
    } catch (cause) {
      // The channel's next entry shows the hole again.
      this.#status.unavailable(storeError("The log could not be read.", cause));
    }
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (cause) {
      const error = storeError("The log could not be read.", cause);
      this.#status.unavailable(error);
      throw error;
    }
  }

  #sweepIn(ms: number): void {
    this.#sweeping = setTimeout(() => this.#sweep(), ms);
    this.#sweeping.unref();
  }

  #sweep(): void {
    let more = false;
    try {
      this.#store.transaction(() => {
        more = this.#store.sweep(this.#settings.clock(), (name) => this.#feeds.has(name));
      });
      this.#status.available();
    } catch (cause) {
      this.#status.unavailable(storeError("The log could not be written.", cause));
    }
    this.#sweepIn(more ? Math.min(SWEEP_AGAIN_MS, this.#settings.sweepMs) : this.#settings.sweepMs);
  }

  #refuseLarge(data: Uint8Array): void {
    const { maxEntryBytes } = this.#settings;
    if (data.length > maxEntryBytes)
      throw new BrokerError("ENTRY_TOO_LARGE", `It has ${data.length} bytes; the limit is ${maxEntryBytes}.`);
  }

  #refuseClosed(): void {
    if (this.#closed) throw new BrokerError("BROKER_CLOSED");
  }
}

function outcomeOf(append: () => Published): PublishOutcome {
  try {
    return { type: "published", ...append() };
  } catch (error) {
    if (error instanceof BrokerError) return { type: "refused", error };
    throw error;
  }
}
