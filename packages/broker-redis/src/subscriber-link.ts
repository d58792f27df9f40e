import type { Address, Connection, Credentials } from "./connection.ts";
import { KeptConnection, type KeptSettings } from "./kept-connection.ts";
import { encodeCommand, RedisError, type Reply } from "./resp.ts";

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
  refused(error: RedisError): void;
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
  /** Each channel that is wanted, its partition, and whether the server has confirmed it. */
  readonly #wanted = new Map<string, { readonly partition: number; on: boolean }>();
  /** Subscriptions, and their ends, that the server has not confirmed yet: one channel may be left and asked for again. */
  readonly #asked = new Map<string, number>();
  readonly #ending = new Map<string, number>();
  /** What this turn of the event loop has changed. */
  readonly #changed = new Map<string, number>();
  #confirmed: string[] = [];
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
    connection.subscribe((reply) => this.#pushed(reply));
    this.#ready = connection;
    this.#changed.clear();
    for (const [channel, { partition }] of this.#wanted) this.#change(channel, partition);
    this.#host.up();
  }

  #down(error: Error): void {
    this.#ready = undefined;
    this.#changed.clear();
    this.#asked.clear();
    this.#ending.clear();
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
    const connection = this.#ready;
    const batches = new Map<string, string[]>();
    for (const [channel, partition] of this.#changed) {
      const wanted = this.#wanted.get(channel);
      add(wanted ? this.#asked : this.#ending, channel, 1);
      const word = `${this.#sharded ? "S" : ""}${wanted ? "" : "UN"}SUBSCRIBE`;
      const batch = `${word} ${this.#sharded ? partition : ""}`;
      const channels = batches.get(batch) ?? [];
      channels.push(channel);
      batches.set(batch, channels);
    }
    this.#changed.clear();
    for (const [batch, channels] of batches)
      for (let from = 0; from < channels.length; from += CHANNELS_PER_COMMAND)
        connection?.write(
          encodeCommand([batch.split(" ")[0] ?? "", ...channels.slice(from, from + CHANNELS_PER_COMMAND)]),
        );
  }

  #pushed(reply: Reply): void {
    if (reply instanceof RedisError) {
      this.#host.refused(reply);
      // What of it was confirmed and what not is clear again on another connection.
      this.#kept.renew(reply);
      return;
    }
    if (!Array.isArray(reply)) return;
    const [kind, channel, payload] = reply as readonly Reply[];
    if (!Buffer.isBuffer(kind) || !Buffer.isBuffer(channel)) return;
    const name = channel.toString("latin1");
    switch (kind.toString("latin1")) {
      case "message":
      case "smessage":
        if (Buffer.isBuffer(payload)) this.#host.message(name, payload);
        return;
      case "subscribe":
      case "ssubscribe":
        this.#confirm(name);
        return;
      case "unsubscribe":
      case "sunsubscribe":
        if (this.#ending.has(name)) add(this.#ending, name, -1);
        else this.#ended(name);
    }
  }

  /** Confirmations come one by one; what comes in one turn of the event loop is told together. */
  #confirm(channel: string): void {
    if (add(this.#asked, channel, -1) > 0) return;
    const wanted = this.#wanted.get(channel);
    if (!wanted || wanted.on) return;
    wanted.on = true;
    if (this.#confirmed.length === 0)
      setImmediate(() => {
        const confirmed = this.#confirmed.filter((name) => this.isFollowing(name));
        this.#confirmed = [];
        if (confirmed.length > 0) this.#host.following(confirmed);
      });
    this.#confirmed.push(channel);
  }

  /** In a cluster the server ends a subscription itself, when the partition goes elsewhere. */
  #ended(channel: string): void {
    const wanted = this.#wanted.get(channel);
    if (!wanted?.on) return;
    wanted.on = false;
    this.#host.away([channel]);
  }
}

/** @returns the count now; one that is 0 is not kept. */
function add(counts: Map<string, number>, name: string, change: 1 | -1): number {
  const count = (counts.get(name) ?? 0) + change;
  if (count > 0) counts.set(name, count);
  else counts.delete(name);
  return count;
}
