import { BrokerError, type Publication, type Published, type PublishOptions } from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { LostAnswer } from "./command-link.ts";
import type { Argument, Reply } from "./connection.ts";
import { EPOCH_CHARACTERS, PUBLISH, TAG_CHARACTERS } from "./log-scripts.ts";
import type { Partitions } from "./partitions.ts";
import { brokerError } from "./redis-error.ts";
import type { Router } from "./router.ts";

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

interface Waiting {
  readonly channel: string;
  readonly args: readonly Argument[];
  readonly bytes: number;
  readonly idempotencyKey: string | undefined;
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
  #batch: Waiting[] = [];
  #batchBytes = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #pendingBytes = 0;

  constructor(partition: number, partitions: Partitions, router: Router, settings: PublisherSettings) {
    this.#partition = partition;
    this.#partitions = partitions;
    this.#router = router;
    this.#settings = settings;
  }

  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Published> {
    const bytes = data.length + OVERHEAD;
    if (this.#pendingBytes + bytes > this.#settings.maxPendingBytes)
      return Promise.reject(new BrokerError("BROKER_UNAVAILABLE", "Too many bytes wait for the server."));
    return new Promise((resolve, reject) => {
      this.#add({
        channel,
        args: argumentsOf(channel, data, options),
        bytes,
        idempotencyKey: options.idempotencyKey,
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
    const args = publications.flatMap(({ channel, data, ...options }) => argumentsOf(channel, data, options));
    const repeatable = publications.every(isKeyed);
    const deadline = performance.now() + this.#settings.requestMs;
    try {
      return await this.#call(args, bytes, publications, repeatable, deadline);
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
    const args = batch.flatMap((one) => one.args);
    const repeatable = batch.every(isKeyed);
    const deadline = Math.max(...batch.map((one) => one.deadline));
    try {
      const published = await this.#call(args, bytes, batch, repeatable, deadline);
      for (const [n, one] of batch.entries()) one.resolve(published[n] as Published);
    } catch (error) {
      for (const one of batch)
        if (error instanceof LostAnswer && isKeyed(one) && one.deadline > performance.now()) this.#add(one);
        else one.reject(brokerError(error));
    }
  }

  async #call(
    args: readonly Argument[],
    bytes: number,
    publications: readonly Keyed[],
    repeatable: boolean,
    deadline: number,
  ): Promise<Published[]> {
    const count = publications.length;
    const channels = new Set(this.#router.sharded ? publications.map(({ channel }) => channel) : []);
    const keys = this.#partitions.keysOf(this.#partition, channels, publications.filter(isKeyed));
    const { maxEntries, maxAgeMs, idempotencyMs, forgetChannelAfterMs } = this.#settings;
    const tags = randomText(count * TAG_CHARACTERS);
    const epoch = randomText(EPOCH_CHARACTERS);
    const head = [this.#router.sharded ? 1 : 0, epoch, tags, maxEntries, maxAgeMs, idempotencyMs];
    const call = PUBLISH.call(keys, [...head, forgetChannelAfterMs, ...args]);
    this.#pendingBytes += bytes;
    try {
      const reply = await this.#router.run(this.#partition, { ...call, repeatable, deadline });
      return readPublished(reply, tags, count);
    } finally {
      this.#pendingBytes -= bytes;
    }
  }
}

interface Keyed {
  readonly channel: string;
  readonly idempotencyKey?: string | undefined;
}

function isKeyed<T extends Keyed>(publication: T): publication is T & { readonly idempotencyKey: string } {
  return publication.idempotencyKey !== undefined;
}

function argumentsOf(channel: string, data: Uint8Array, options: PublishOptions): Argument[] {
  const { idempotencyKey = "", retention } = options;
  const own = retention ? `${retention.maxEntries} ${retention.maxAgeMs}` : "";
  return [channel, Buffer.from(data), idempotencyKey, own];
}

function readPublished(reply: Reply, tags: string, count: number): Published[] {
  const [seq, lines] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  const places = String(lines).split("\n");
  if (places.length !== count)
    throw new BrokerError("BROKER_UNAVAILABLE", "The script gave another answer than it should.");
  return places.map((place, n) => {
    const [offset, epoch = "", tag, own] = place.split(" ");
    const fresh = tags.slice(n * TAG_CHARACTERS, (n + 1) * TAG_CHARACTERS);
    const position = { epoch, offset: Number(offset), tag: tag ?? fresh };
    return tag === undefined
      ? { position, seq: Number(seq) + n + 1, duplicate: false }
      : { position, seq: Number(own), duplicate: true };
  });
}
