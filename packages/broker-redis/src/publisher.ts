import {
  BrokerError,
  type Publication,
  type Published,
  type PublishOptions,
  type Retention,
} from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { LostAnswer, repeatable } from "./command-link.ts";
import type { Argument, Reply } from "./connection.ts";
import { EPOCH_CHARACTERS, PUBLISH, TAG_CHARACTERS } from "./log-scripts.ts";
import type { Partitions } from "./partitions.ts";
import { brokerError } from "./redis-error.ts";
import type { Router } from "./router.ts";
import type { ScriptCall } from "./scripts.ts";
import type { Seqs } from "./seqs.ts";

export interface PublisherSettings {
  readonly requestMs: number;
  readonly maxPendingBytes: number;
  readonly idempotencyMs: number;
  readonly forgetChannelAfterMs: number;
  readonly maxEntries: number;
  readonly maxAgeMs: number;
}

/** Publications in one call; a larger one holds the server for too long. */
const MOST = 256;
const MOST_BYTES = 256 * 1024;
/** What a publication needs beside its data, about. */
const OVERHEAD = 256;

/** A publication whose data nobody else can change. */
interface Outgoing {
  readonly channel: string;
  readonly data: Buffer;
  readonly idempotencyKey: string | undefined;
  readonly retention: Retention | undefined;
}

interface Waiting extends Outgoing {
  readonly bytes: number;
  readonly deadline: number;
  readonly resolve: (published: Published) => void;
  readonly reject: (error: BrokerError) => void;
}

/**
 * Publications to one partition. Those of one turn of the event loop go in one call, so that the cost of a call is shared.
 * Data are copied at once.
 *
 * When an answer is lost, publications with an idempotency key are sent again until their deadline; the others are
 * rejected, since they may have been accepted.
 */
export class Publisher {
  readonly #partition: number;
  readonly #partitions: Partitions;
  readonly #router: Router;
  readonly #settings: PublisherSettings;
  readonly #seqs: Seqs;
  #batch: Waiting[] = [];
  #batchBytes = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #pendingBytes = 0;

  constructor(
    partition: number,
    partitions: Partitions,
    router: Router,
    settings: PublisherSettings,
    seqs: Seqs,
  ) {
    this.#partition = partition;
    this.#partitions = partitions;
    this.#router = router;
    this.#settings = settings;
    this.#seqs = seqs;
  }

  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Published> {
    const bytes = data.length + OVERHEAD;
    if (this.#pendingBytes + bytes > this.#settings.maxPendingBytes)
      return Promise.reject(new BrokerError("BROKER_UNAVAILABLE", "Too many bytes wait for the server."));
    return new Promise((resolve, reject) => {
      this.#add({
        ...copied({ channel, data, ...options }),
        bytes,
        deadline: performance.now() + this.#settings.requestMs,
        resolve,
        reject,
      });
    });
  }

  /** In one call of its own: all are accepted, or none. */
  async publishAll(publications: readonly Publication[]): Promise<readonly Published[]> {
    const bytes = publications.reduce((sum, { data }) => sum + data.length + OVERHEAD, 0);
    if (this.#pendingBytes + bytes > this.#settings.maxPendingBytes)
      throw new BrokerError("BROKER_UNAVAILABLE", "Too many bytes wait for the server.");
    const isRepeatable = publications.every(isKeyed);
    const deadline = performance.now() + this.#settings.requestMs;
    try {
      return await this.#call(publications.map(copied), bytes, isRepeatable, deadline);
    } catch (error) {
      throw brokerError(error);
    }
  }

  #add(waiting: Waiting): void {
    this.#batch.push(waiting);
    this.#batchBytes += waiting.bytes;
    this.#scheduled ??= setImmediate(() => this.#flush());
    if (this.#batch.length >= MOST || this.#batchBytes >= MOST_BYTES) this.#flush();
  }

  #flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const batch = this.#batch;
    const bytes = this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    if (batch.length > 0) void this.#send(batch, bytes);
  }

  async #send(batch: readonly Waiting[], bytes: number): Promise<void> {
    const isRepeatable = batch.every(isKeyed);
    const deadline = Math.max(...batch.map((one) => one.deadline));
    try {
      const published = await this.#call(batch, bytes, isRepeatable, deadline);
      for (const [n, one] of batch.entries()) one.resolve(published[n] as Published);
    } catch (error) {
      for (const one of batch)
        if (error instanceof LostAnswer && isKeyed(one) && one.deadline > performance.now()) this.#add(one);
        else one.reject(brokerError(error));
    }
  }

  async #call(
    publications: readonly Outgoing[],
    bytes: number,
    isRepeatable: boolean,
    deadline: number,
  ): Promise<Published[]> {
    const channels = new Set(this.#router.sharded ? publications.map(({ channel }) => channel) : []);
    const keys = this.#partitions.keysOf(this.#partition, channels, publications.filter(isKeyed));
    const { maxEntries, maxAgeMs, idempotencyMs, forgetChannelAfterMs } = this.#settings;
    const settings = [maxEntries, maxAgeMs, idempotencyMs, forgetChannelAfterMs];
    const sharded = this.#router.sharded ? 1 : 0;
    const rest = argumentsOf(publications);
    let tag = "";
    // A primary that was given up may have done it all the same: a tag that two logs hold, at whatever offsets, would make a
    // place in one of them pass for one in the other.
    const attempt = (): ScriptCall => {
      tag = randomText(TAG_CHARACTERS);
      const head = [sharded, randomText(EPOCH_CHARACTERS), tag, ...settings, this.#seqs.of(this.#partition)];
      return PUBLISH.call(keys, [...head, ...rest]);
    };
    const command = isRepeatable ? repeatable(attempt, deadline) : { ...attempt(), deadline };
    this.#pendingBytes += bytes;
    try {
      const reply = await this.#router.run(this.#partition, command);
      const published = readPublished(reply, tag, publications);
      for (const { seq } of published) this.#seqs.saw(this.#partition, seq);
      return published;
    } finally {
      this.#pendingBytes -= bytes;
    }
  }
}

function copied({ channel, data, idempotencyKey, retention }: Publication): Outgoing {
  return { channel, data: Buffer.from(data), idempotencyKey, retention };
}

function isKeyed<T extends { readonly idempotencyKey?: string | undefined }>(
  publication: T,
): publication is T & { readonly idempotencyKey: string } {
  return publication.idempotencyKey !== undefined;
}

/** What the script takes for these: most have neither key nor retention, and many are for the channel of the one before. */
function argumentsOf(publications: readonly Outgoing[]): Argument[] {
  const arePlain = publications.every(({ idempotencyKey, retention }) => !idempotencyKey && !retention);
  const args: Argument[] = [arePlain ? 2 : 4];
  let before: string | undefined;
  for (const { channel, data, idempotencyKey = "", retention } of publications) {
    args.push(channel === before ? "" : channel, data);
    before = channel;
    if (!arePlain)
      args.push(idempotencyKey, retention ? `${retention.maxEntries} ${retention.maxAgeMs}` : "");
  }
  return args;
}

function readPublished(reply: Reply, tag: string, publications: readonly Outgoing[]): Published[] {
  const [seq, channels, ...rest] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  const fresh = rest.slice(0, 2 * Number(channels));
  const records = new Map<number, string>();
  for (let at = fresh.length; at + 1 < rest.length; at += 2)
    records.set(Number(rest[at]), String(rest[at + 1]));
  const heads = new Map<string, { readonly epoch: string; next: number }>();
  return publications.map(({ channel }, n) => {
    const record = records.get(n + 1);
    if (record !== undefined) return readRecord(record);
    let head = heads.get(channel);
    if (!head) {
      const at = 2 * heads.size;
      head = { epoch: String(fresh[at]), next: Number(fresh[at + 1]) };
      heads.set(channel, head);
    }
    const position = { epoch: head.epoch, offset: head.next++, tag };
    if (!Number.isSafeInteger(position.offset))
      throw new BrokerError("BROKER_UNAVAILABLE", "The script gave another answer than it should.");
    return { position, seq: Number(seq) + n + 1, duplicate: false };
  });
}

/** What is kept of an idempotency key. */
function readRecord(record: string): Published {
  const [offset, epoch = "", tag = "", seq] = record.split(" ");
  return { position: { epoch, offset: Number(offset), tag }, seq: Number(seq), duplicate: true };
}
