import { BrokerError, type Publication, type Published, type PublishOptions } from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { LostAnswer } from "./command-link.ts";
import { PUBLISH, TAG_CHARACTERS } from "./log-scripts.ts";
import type { Partitions } from "./partitions.ts";
import { brokerError } from "./redis-error.ts";
import { ArgumentWriter, type Reply } from "./resp.ts";
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
const ARGUMENTS = 4;
const EPOCH_CHARACTERS = 12;

interface Waiting {
  readonly channel: string;
  /** Where its arguments are in those of the call. */
  readonly from: number;
  end: number;
  readonly isKeyed: boolean;
  readonly deadline: number;
  readonly resolve: (published: Published) => void;
  readonly reject: (error: BrokerError) => void;
}

interface Batch {
  readonly writer: ArgumentWriter;
  readonly waiting: Waiting[];
}

/**
 * Publications to one partition. Those of one turn of the event loop go in one call, so that the cost of a call is shared.
 * Data are copied into the call's own bytes at once.
 *
 * When an answer is lost, publications with an idempotency key are sent again until their deadline; the others are
 * rejected, since they may have been accepted.
 */
export class Publisher {
  readonly #partition: number;
  readonly #partitions: Partitions;
  readonly #router: Router;
  readonly #settings: PublisherSettings;
  #batch: Batch | undefined;
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
      const batch = this.#open();
      const from = batch.writer.length;
      write(batch.writer, channel, data, options);
      this.#add(batch, {
        channel,
        from,
        end: batch.writer.length,
        isKeyed: options.idempotencyKey !== undefined,
        deadline: performance.now() + this.#settings.requestMs,
        resolve,
        reject,
      });
    });
  }

  /** In one call of its own: all are accepted, or none. */
  async publishAll(publications: readonly Publication[]): Promise<readonly Published[]> {
    const writer = new ArgumentWriter(publications.length * OVERHEAD);
    for (const { channel, data, ...options } of publications) write(writer, channel, data, options);
    if (this.#pendingBytes + writer.length > this.#settings.maxPendingBytes)
      throw new BrokerError("BROKER_UNAVAILABLE", "Too many bytes wait for the server.");
    const repeatable = publications.every(({ idempotencyKey }) => idempotencyKey !== undefined);
    const deadline = performance.now() + this.#settings.requestMs;
    try {
      return await this.#call(writer.take(), publications, repeatable, deadline);
    } catch (error) {
      throw brokerError(error);
    }
  }

  #open(): Batch {
    this.#batch ??= { writer: new ArgumentWriter(4096), waiting: [] };
    this.#scheduled ??= setImmediate(() => this.#flush());
    return this.#batch;
  }

  #add(batch: Batch, waiting: Waiting): void {
    batch.waiting.push(waiting);
    if (batch.waiting.length >= MOST || batch.writer.length >= MOST_BYTES) this.#flush();
  }

  #flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch && batch.waiting.length > 0) void this.#send(batch);
  }

  async #send({ writer, waiting }: Batch): Promise<void> {
    const args = writer.take();
    const isKeyed = waiting.every((one) => one.isKeyed);
    const deadline = Math.max(...waiting.map((one) => one.deadline));
    try {
      const published = await this.#call(args, waiting, isKeyed, deadline);
      for (const [n, one] of waiting.entries()) one.resolve(published[n] as Published);
    } catch (error) {
      for (const one of waiting)
        if (error instanceof LostAnswer && one.isKeyed && one.deadline > performance.now())
          this.#again(args, one);
        else one.reject(brokerError(error));
    }
  }

  #again(args: Buffer, one: Waiting): void {
    const batch = this.#open();
    const from = batch.writer.length;
    batch.writer.addEncoded(args.subarray(one.from, one.end));
    this.#add(batch, { ...one, from, end: batch.writer.length });
  }

  async #call(
    args: Buffer,
    publications: readonly { readonly channel: string }[],
    repeatable: boolean,
    deadline: number,
  ): Promise<Published[]> {
    const count = publications.length;
    const channels = new Set(this.#router.sharded ? publications.map(({ channel }) => channel) : []);
    const keys = this.#partitions.keysOf(this.#partition, channels);
    const { maxEntries, maxAgeMs, idempotencyMs, forgetChannelAfterMs } = this.#settings;
    const tags = randomText(count * TAG_CHARACTERS);
    const epoch = randomText(EPOCH_CHARACTERS);
    const writer = new ArgumentWriter(args.length + tags.length + 256);
    const head = [this.#router.sharded ? 1 : 0, epoch, tags, maxEntries, maxAgeMs, idempotencyMs];
    for (const arg of [...head, forgetChannelAfterMs]) writer.add(arg);
    writer.addEncoded(args);
    const call = PUBLISH.callEncoded(keys, writer.take(), head.length + 1 + count * ARGUMENTS);
    this.#pendingBytes += args.length;
    try {
      const reply = await this.#router.run(this.#partition, { ...call, repeatable, deadline });
      return readPublished(reply, tags, count);
    } finally {
      this.#pendingBytes -= args.length;
    }
  }
}

function write(writer: ArgumentWriter, channel: string, data: Uint8Array, options: PublishOptions): void {
  const { idempotencyKey = "", retention } = options;
  writer.add(channel);
  writer.add(data);
  writer.add(idempotencyKey);
  writer.add(retention ? `${retention.maxEntries} ${retention.maxAgeMs}` : "");
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
