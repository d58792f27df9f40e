import type { Address, Connection, Credentials } from "./connection.ts";
import { KeptConnection, type KeptSettings } from "./kept-connection.ts";
import { isAnswer } from "./redis-error.ts";

export interface SubscriberHost {
  locate(): Promise<Address>;
  up(): void;
  down(error: Error): void;
  /** The server announces these from now on. */
  following(channels: readonly string[]): void;
  /** It ended these by itself, or the connection is lost. */
  away(channels: readonly string[]): void;
  message(channel: string, message: Buffer): void;
  /** It refused a subscription with this. */
  refused(error: Error): void;
}

/** Channels in one SUBSCRIBE. */
const CHANNELS_PER_COMMAND = 512;

/**
 * The channels that one connection has announced, over a connection that is made again when it is lost. Those asked for in
 * one turn of the event loop share commands; in a cluster a command's channels are of one partition.
 */
export class SubscriberLink {
  readonly #kept: KeptConnection;
  readonly #host: SubscriberHost;
  readonly #sharded: boolean;
  readonly #wanted = new Map<string, Wanted>();
  /** What this turn of the event loop has changed. */
  readonly #changed = new Map<string, number>();
  #confirmed: string[] = [];
  #looking = false;
  #ready: Connection | undefined;

  constructor(host: SubscriberHost, sharded: boolean, credentials: Credentials, settings: KeptSettings) {
    this.#host = host;
    this.#sharded = sharded;
    this.#kept = new KeptConnection(
      {
        locate: () => host.locate(),
        up: (connection) => this.#up(connection),
        down: (error) => this.#down(error),
      },
      credentials,
      settings,
    );
  }

  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  isFollowing(channel: string): boolean {
    return this.#wanted.get(channel)?.on === true;
  }

  follow(partition: number, channel: string): void {
    if (this.#wanted.has(channel)) return;
    this.#wanted.set(channel, { partition, on: false });
    this.#change(channel, partition);
  }

  unfollow(partition: number, channel: string): void {
    if (this.#wanted.delete(channel)) this.#change(channel, partition);
  }

  /** Of these partitions nothing is wanted here any more. @returns the channels */
  leavePartitions(partitions: ReadonlySet<number>): string[] {
    const left = [...this.#wanted].filter(([, { partition }]) => partitions.has(partition));
    for (const [channel, { partition }] of left) this.unfollow(partition, channel);
    return left.map(([channel]) => channel);
  }

  renew(error: Error): void {
    this.#kept.renew(error);
  }

  close(): void {
    this.#kept.close();
    this.#wanted.clear();
  }

  #up(connection: Connection): void {
    connection.subscribe({
      message: (channel, message) => this.#host.message(channel, message),
      ended: () => this.#look(connection),
    });
    this.#ready = connection;
    this.#changed.clear();
    for (const [channel, { partition }] of this.#wanted) this.#change(channel, partition);
    this.#host.up();
  }

  #down(error: Error): void {
    this.#ready = undefined;
    this.#changed.clear();
    this.#confirmed = [];
    const channels: string[] = [];
    for (const [channel, wanted] of this.#wanted) {
      if (wanted.on) channels.push(channel);
      wanted.on = false;
    }
    if (channels.length > 0) this.#host.away(channels);
    this.#host.down(error);
  }

  #change(channel: string, partition: number): void {
    if (!this.#ready) return;
    if (this.#changed.size === 0) process.nextTick(() => this.#sendChanged());
    this.#changed.set(channel, partition);
  }

  #sendChanged(): void {
    const batches = new Map<string, string[]>();
    for (const [channel, partition] of this.#changed) {
      const word = this.#wanted.has(channel) ? "subscribe" : "unsubscribe";
      const batch = `${this.#sharded ? "s" : ""}${word} ${this.#sharded ? partition : ""}`;
      const channels = batches.get(batch) ?? [];
      channels.push(channel);
      batches.set(batch, channels);
    }
    this.#changed.clear();
    for (const [batch, channels] of batches)
      for (let from = 0; from < channels.length; from += CHANNELS_PER_COMMAND)
        void this.#ask(batch.split(" ")[0] ?? "", channels.slice(from, from + CHANNELS_PER_COMMAND));
  }

  async #ask(word: string, channels: readonly string[]): Promise<void> {
    const connection = this.#ready;
    const asked = channels.map((channel) => this.#wanted.get(channel));
    try {
      await connection?.ask(word, channels);
    } catch (error) {
      // What is not announced any more is not announced elsewhere either, and a lost connection is told of by its end.
      if (!isAnswer(error) || word.includes("un") || connection !== this.#ready) return;
      this.#host.refused(error);
      // What of it was confirmed and what not is clear again on another connection.
      this.#kept.renew(error);
      return;
    }
    if (connection !== this.#ready) return;
    // A channel may have been left, and asked for again, since.
    for (const [n, channel] of channels.entries()) {
      const wanted = asked[n];
      if (wanted && wanted === this.#wanted.get(channel)) this.#confirm(channel, wanted);
    }
  }

  /** What is confirmed in one turn of the event loop is told together. */
  #confirm(channel: string, wanted: Wanted): void {
    wanted.on = true;
    if (this.#confirmed.length === 0)
      setImmediate(() => {
        const confirmed = this.#confirmed.filter((name) => this.isFollowing(name));
        this.#confirmed = [];
        if (confirmed.length > 0) this.#host.following(confirmed);
      });
    this.#confirmed.push(channel);
  }

  /** In a cluster the server ends subscriptions itself, when their partition goes elsewhere: which are left? */
  #look(connection: Connection): void {
    if (this.#looking) return;
    this.#looking = true;
    setImmediate(() => {
      this.#looking = false;
      if (connection !== this.#ready) return;
      const announced = new Set(connection.announced());
      const ended = [...this.#wanted].filter(([channel, { on }]) => on && !announced.has(channel));
      for (const [, wanted] of ended) wanted.on = false;
      if (ended.length > 0) this.#host.away(ended.map(([channel]) => channel));
    });
  }
}

/** A channel that is wanted, and whether the server has confirmed it. */
interface Wanted {
  readonly partition: number;
  on: boolean;
}
