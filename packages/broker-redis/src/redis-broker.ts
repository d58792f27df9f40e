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
  SubscribeOptions,
  Subscription,
  Unrecoverable,
} from "@holdfast/broker";
import { type Abilities, BrokerError } from "@holdfast/broker";
import {
  type ChannelHost,
  checkBatch,
  checkHistory,
  checkNotify,
  checkPublish,
  checkSubscribe,
  PAGE_BYTES,
  PAGE_ENTRIES,
  RemoteChannel,
  randomText,
  Status,
  Turns,
} from "@holdfast/broker/engine";
import { readAnnouncements, readEntry, volatileMessage } from "./announcement.ts";
import { repeatable } from "./command-link.ts";
import type { Reply } from "./connection.ts";
import { FollowedChannel } from "./followed-channel.ts";
import { Heads } from "./heads.ts";
import { EPOCH_CHARACTERS, PAGE } from "./log-scripts.ts";
import type { RedisSettings } from "./options.ts";
import { Partitions } from "./partitions.ts";
import { Publisher } from "./publisher.ts";
import { brokerError } from "./redis-error.ts";
import { RedisLeases } from "./redis-leases.ts";
import type { Router, RouterHost } from "./router.ts";
import { Seqs } from "./seqs.ts";
import { Witness } from "./witness.ts";

/** Channels that read what they missed at one time. */
const CATCHING_UP = 32;
/** Channels whose last accepted publish is remembered, to notice when a server lost it. */
const WITNESSED = 10_000;

/** The broker on Redis: what is written goes through scripts, what is announced goes through RemoteChannel. */
export class RedisBroker implements Broker, ChannelHost, RouterHost {
  readonly abilities: Abilities;
  readonly leases: RedisLeases;
  readonly onListenerError: (error: unknown) => void;
  readonly subscribeMs: number;
  readonly #settings: RedisSettings;
  readonly #router: Router;
  readonly #partitions: Partitions;
  readonly #status: Status;
  readonly #publishers: readonly Publisher[];
  readonly #channels = new Map<string, FollowedChannel>();
  readonly #reads = new Turns(CATCHING_UP);
  readonly #seqs = new Seqs();
  readonly #witness = new Witness(WITNESSED);
  readonly #heads: Heads;
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(abilities: Abilities, settings: RedisSettings, route: (host: RouterHost) => Router) {
    this.abilities = abilities;
    this.#settings = settings;
    this.onListenerError = settings.onListenerError;
    this.subscribeMs = settings.requestMs;
    const waiting = new BrokerError("BROKER_UNAVAILABLE", "The connection is being made.");
    this.#status = new Status({ type: "unavailable", error: waiting }, settings.onListenerError);
    this.#router = route(this);
    this.#partitions = new Partitions(settings.prefix, this.#router.partitions);
    const isFollowed = (one: FollowedChannel) => this.#channels.get(one.name) === one;
    this.#heads = new Heads(settings, this.#router, this.#partitions, this.#seqs, isFollowed);
    this.#publishers = this.#partitions.keys.map(
      (_, partition) => new Publisher(partition, this.#partitions, this.#router, settings, this.#seqs),
    );
    this.leases = new RedisLeases({
      router: this.#router,
      partition: 0,
      key: `${this.#partitions.keyOf(0)}l`,
      requestMs: settings.requestMs,
      maxLeases: settings.maxLeases,
      refuse: () => this.#refuse(),
      onListenerError: settings.onListenerError,
    });
    this.#timer = setInterval(() => this.#checkAll(), settings.checkMs);
    this.#timer.unref();
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions = {}): Promise<Published> {
    this.#refuse();
    checkPublish(channel, data, options);
    this.#refuseLarge(data);
    const published = await this.#publisherOf(channel).publish(channel, data, options);
    this.#witness.saw(channel, published.position);
    return published;
  }

  async publishAll(publications: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    this.#refuse();
    checkBatch(publications);
    const outcomes: PublishOutcome[] = [];
    const parts = new Map<number, { readonly at: number[]; readonly publications: Publication[] }>();
    for (const [at, publication] of publications.entries()) {
      const refused = this.#checkPublication(publication);
      if (refused) {
        outcomes[at] = refused;
        continue;
      }
      const partition = this.#partitions.of(publication.channel);
      const part = parts.get(partition) ?? { at: [], publications: [] };
      part.at.push(at);
      part.publications.push(publication);
      parts.set(partition, part);
    }
    await Promise.all(
      [...parts].map(async ([partition, part]) => {
        const publisher = this.#publishers[partition] as Publisher;
        const published = await publisher.publishAll(part.publications);
        for (const [n, one] of published.entries()) {
          outcomes[part.at[n] as number] = { type: "published", ...one };
          this.#witness.saw((part.publications[n] as Publication).channel, one.position);
        }
      }),
    );
    return outcomes;
  }

  async notify(channel: string, data: Uint8Array): Promise<void> {
    this.#refuse();
    checkNotify(channel, data);
    this.#refuseLarge(data);
    const [partition, name] = this.#placeOf(channel);
    const word = this.#router.sharded ? "SPUBLISH" : "PUBLISH";
    const args = [name, volatileMessage(data)];
    const deadline = performance.now() + this.#settings.requestMs;
    try {
      await this.#router.run(partition, { name: word, args, deadline });
    } catch (error) {
      throw brokerError(error);
    }
  }

  async subscribe(
    channel: string,
    listener: (event: ChannelEvent) => void,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#refuse();
    checkSubscribe(channel, options);
    let followed = this.#channels.get(channel);
    if (!followed) {
      followed = new FollowedChannel(channel);
      this.#channels.set(channel, followed);
      // Its host is asked to follow it while it is made.
      followed.channel = new RemoteChannel(channel, this);
    }
    return (followed.channel as RemoteChannel).join(listener, options);
  }

  /** For the channels that this follows. */
  fence(): Promise<void> | undefined {
    return this.#router.fence?.();
  }

  async history(channel: string, query: HistoryQuery): Promise<History> {
    this.#refuse();
    checkHistory(channel, query);
    const { backwards = false, since, before } = query;
    const at = backwards ? before : since;
    const limit = Math.min(query.limit ?? PAGE_ENTRIES, PAGE_ENTRIES);
    const { maxEntries, maxAgeMs, forgetChannelAfterMs, requestMs } = this.#settings;
    const partition = this.#partitions.of(channel);
    const keys = this.#partitions.keysOf(partition, [channel]);
    const args = [
      ...[maxEntries, maxAgeMs, forgetChannelAfterMs],
      channel,
      backwards ? "b" : "f",
      at?.epoch === "" ? "-" : (at?.epoch ?? ""),
      at?.offset ?? 0,
      at?.tag ?? "",
      limit,
      PAGE_BYTES,
    ];
    const attempt = () => PAGE.call(keys, [randomText(EPOCH_CHARACTERS), ...args]);
    const deadline = performance.now() + requestMs;
    try {
      const page = readPage(await this.#router.run(partition, repeatable(attempt, deadline)));
      this.#seqs.saw(partition, page.seq);
      return page;
    } catch (error) {
      throw brokerError(error);
    }
  }

  watch(listener: (status: BrokerStatus) => void): () => void {
    return this.#status.watch(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const error = new BrokerError("BROKER_CLOSED");
    clearInterval(this.#timer);
    this.#router.close(error);
    this.#status.end();
    for (const { channel } of this.#channels.values()) channel?.end(error);
    this.#channels.clear();
    this.leases.end(error);
  }

  // What its channels ask for.

  follow(channel: string): void {
    const followed = this.#channels.get(channel);
    if (!followed) return;
    const [partition, name] = this.#placeOf(channel);
    if (this.#router.isFollowing(name)) this.#heads.check(followed);
    else this.#router.follow(partition, name);
  }

  leave(channel: string): void {
    const followed = this.#channels.get(channel);
    if (!followed) return;
    this.#channels.delete(channel);
    this.#heads.forget(followed);
    this.#router.unfollow(...this.#placeOf(channel));
  }

  read(channel: string, since: Position): Promise<History> {
    return this.#reads.run(() => this.history(channel, { since }));
  }

  // What its servers tell.

  available(): void {
    this.#status.available();
  }

  unavailable(error: BrokerError): void {
    if (error.code === "TOKEN_REFUSED")
      for (const { channel } of [...this.#channels.values()]) channel?.rejectWaiters(error);
    this.#status.unavailable(error);
  }

  moved(partitions: readonly number[]): void {
    this.#heads.tellSeqs(partitions);
    void this.#heads.testify(this.#witness);
    this.#checkAll();
  }

  following(names: readonly string[]): void {
    for (const name of names) {
      const group = this.leases.groupOf(name);
      const followed = this.#channels.get(this.#partitions.channelOf(name) ?? "");
      if (group !== undefined) this.leases.following(group);
      else if (followed) this.#heads.check(followed);
    }
  }

  away(names: readonly string[]): void {
    for (const name of names) {
      const group = this.leases.groupOf(name);
      const followed = this.#channels.get(this.#partitions.channelOf(name) ?? "");
      if (group !== undefined) this.leases.away(group);
      else followed?.away();
    }
  }

  message(name: string, message: Buffer): void {
    const channel = this.#partitions.channelOf(name);
    const followed = channel === undefined ? undefined : this.#channels.get(channel);
    if (!followed) {
      const group = this.leases.groupOf(name);
      if (group !== undefined) this.leases.changed(group, message);
      return;
    }
    for (const announcement of readAnnouncements(message)) {
      if (announcement.type === "entry")
        this.#seqs.saw(this.#partitions.of(followed.name), announcement.entry.seq);
      if (followed.take(announcement) === "check") this.#heads.check(followed);
    }
  }

  #checkAll(): void {
    for (const followed of this.#channels.values())
      if (this.#router.isFollowing(this.#placeOf(followed.name)[1])) this.#heads.check(followed);
  }

  #placeOf(channel: string): [partition: number, name: string] {
    const partition = this.#partitions.of(channel);
    return [partition, this.#partitions.announcementsOf(partition, channel)];
  }

  #publisherOf(channel: string): Publisher {
    return this.#publishers[this.#partitions.of(channel)] as Publisher;
  }

  /** What becomes of a publication that need not be sent. */
  #checkPublication({ channel, data, ...options }: Publication): PublishOutcome | undefined {
    try {
      checkPublish(channel, data, options);
      this.#refuseLarge(data);
      return undefined;
    } catch (error) {
      if (error instanceof BrokerError) return { type: "refused", error };
      throw error;
    }
  }

  #refuseLarge(data: Uint8Array): void {
    const { maxEntryBytes } = this.#settings;
    if (data.length > maxEntryBytes)
      throw new BrokerError("ENTRY_TOO_LARGE", `It has ${data.length} bytes; the limit is ${maxEntryBytes}.`);
  }

  #refuse(): void {
    if (this.#closed) throw new BrokerError("BROKER_CLOSED");
  }
}

function readPage(reply: Reply): History {
  const [epoch, offset, tag, reason, last, ...rest] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  const head = { epoch: String(epoch), offset: Number(offset), tag: String(tag) };
  const seq = Number(last);
  if (String(reason) !== "")
    return { type: "unrecoverable", reason: String(reason) as Unrecoverable, head, seq };
  const entries: Entry[] = [];
  for (let at = 0; at + 2 < rest.length; at += 3) {
    const [id, field, data] = rest.slice(at, at + 3);
    entries.push(readEntry(String(id), String(field), data as Buffer));
  }
  return { type: "page", entries, head, seq };
}
