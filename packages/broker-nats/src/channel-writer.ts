import { setTimeout as pause } from "node:timers/promises";
import { BrokerError, type Published, type Retention } from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { isPassedOver } from "./chain.ts";
import { isConflict, refusalOf, unavailable } from "./failures.ts";
import type { Claim, Keys } from "./keys.ts";
import type { Log } from "./log.ts";
import {
  encodeRecord,
  headOf,
  milestonesAfter,
  RECORD_ENTRIES,
  type Record,
  SALT_CHARACTERS,
  type StoredRecord,
  seqAt,
  tagAt,
} from "./record.ts";
import type { ServerClock } from "./server-clock.ts";
import { visibleOf } from "./visible.ts";

export interface Job {
  readonly data: Uint8Array;
  readonly key: string | undefined;
  readonly retention: Retention | undefined;
  /** By `performance.now()`. */
  readonly deadline: number;
  readonly resolve: (published: Published) => void;
  readonly reject: (error: BrokerError) => void;
}

export interface WriterHost {
  readonly log: Log;
  readonly keys: Keys;
  readonly clock: ServerClock;
  readonly retention: Retention;
  /** Nothing is left to write. */
  idle(): void;
  /** The channel's newest record is this now. */
  written(channel: string, record: StoredRecord): void;
}

/** A job on its way, with the id that its key was claimed with. */
interface Claimed {
  readonly job: Job;
  readonly id: string | undefined;
}

/** Data that publishes which wait together put into one record, at most: the newest record is read often. */
const BATCH_BYTES = 128 * 1024;
/** Keys and claims fit into what a record has beside its data. */
const BATCH_KEYS = 64;
const RETRY_MS = 50;
const NOTHING = new Uint8Array();

/**
 * Writes one channel's records, one after the other. A record is accepted only behind the newest one that this writer knows of,
 * which the server checks; so two nodes never give out one offset twice, and what was lost on the way can be
 * sent again. What is published while a record is on its way goes into the next one together.
 */
export class ChannelWriter {
  readonly channel: string;
  readonly #host: WriterHost;
  #jobs: Job[] = [];
  /** The newest record, as far as this writer knows. */
  #tail: StoredRecord | undefined;
  #running = false;
  #isOutOfDate = false;

  constructor(channel: string, host: WriterHost) {
    this.channel = channel;
    this.#host = host;
  }

  get isIdle(): boolean {
    return !this.#running;
  }

  /** The log may be another than it was: in a stream that was made again another record can be where the newest was. */
  forget(): void {
    this.#isOutOfDate = true;
  }

  add(job: Job): void {
    this.#jobs.push(job);
    if (this.#running) return;
    this.#running = true;
    // What is published in this turn of the event loop goes together.
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#jobs.length > 0) {
      const jobs = this.#take();
      try {
        await this.#write(jobs);
      } catch (error) {
        this.#tail = undefined;
        for (const job of jobs) job.reject(refusalOf(error) ?? unavailable(error));
      }
    }
    this.#running = false;
    this.#host.idle();
  }

  /** The jobs of the next record. */
  #take(): Job[] {
    const [first] = this.#jobs;
    const keys = new Set<string>();
    let count = 0;
    let bytes = 0;
    for (const { key, data, retention } of this.#jobs) {
      bytes += data.length;
      if (count > 0 && (bytes > BATCH_BYTES || !isSameRetention(retention, first?.retention))) break;
      // A key that is there twice is written first, and then found.
      if (count === RECORD_ENTRIES || (key !== undefined && (keys.has(key) || keys.size === BATCH_KEYS)))
        break;
      if (key !== undefined) keys.add(key);
      count++;
    }
    return this.#jobs.splice(0, count);
  }

  async #write(jobs: readonly Job[]): Promise<void> {
    const { log } = this.#host;
    const deadline = Math.max(...jobs.map((job) => job.deadline));
    if (this.#isOutOfDate) this.#tail = undefined;
    this.#isOutOfDate = false;
    this.#tail ??= await log.last(this.channel, deadline);
    let batch = await this.#claim(jobs, deadline);
    let record: Record | undefined;
    /** Whether this very record may be in the log although no answer said so. */
    let doubtful = false;
    while (batch.length > 0) {
      record ??= this.#record(batch);
      const { previous } = record;
      try {
        const appended = await log.append(this.channel, encodeRecord(record), previous, deadline);
        if (!appended.duplicate) return this.#accept(batch, { ...record, seq: appended.seq });
        doubtful = true;
      } catch (error) {
        const refusal = refusalOf(error);
        if (!isConflict(error)) {
          if (refusal) throw refusal;
          if (performance.now() + RETRY_MS >= deadline) throw unavailable(error);
          doubtful = true;
          await pause(RETRY_MS, undefined, { ref: false });
          await log.settled(this.channel, deadline);
          // By its name: in a stream that was made again meanwhile another record can be at the same place.
          if ((await log.last(this.channel, deadline))?.id === this.#tail?.id) continue;
        }
      }
      // Another was quicker; or this one was, and its answer was lost.
      const next = doubtful ? await log.next(this.channel, previous + 1, deadline) : undefined;
      if (next?.id === record.id && (await this.#counts(next, deadline))) return this.#accept(batch, next);
      if (performance.now() >= deadline)
        throw new BrokerError("BROKER_UNAVAILABLE", "Too many write to this channel at once.");
      batch = await this.#goOn(batch, previous, deadline);
      record = undefined;
      doubtful = false;
    }
  }

  async #counts(record: StoredRecord, deadline: number): Promise<boolean> {
    const next = await this.#host.log.next(this.channel, record.seq + 1, deadline);
    return next === undefined || !isPassedOver(record, next);
  }

  /** Claims the keys of jobs, answers those whose entry is in the log, and leaves the others. */
  async #claim(jobs: readonly Job[], deadline: number): Promise<Claimed[]> {
    const { keys, log } = this.#host;
    const after = this.#tail?.seq ?? 0;
    const claims = await Promise.all(
      jobs.map(({ key }) => (key === undefined ? undefined : keys.claim(this.channel, key, after, deadline))),
    );
    // An entry of another log than the one known here: this one may be out of date, or that one lost.
    const isStrange = (claim: Claim | undefined) =>
      claim?.type === "done" && claim.epoch !== this.#tail?.epoch;
    if (claims.some(isStrange)) this.#tail = await log.last(this.channel, deadline);
    const batch: Claimed[] = [];
    let from = after;
    for (const [index, job] of jobs.entries()) {
      const claim = claims[index];
      if (claim?.type !== "done") {
        if (claim) from = Math.min(from, claim.after);
        batch.push({ job, id: claim?.id });
      } else if (isStrange(claim)) {
        // It was lost with its log. Whoever comes with this key now comes to the same id.
        from = 0;
        batch.push({ job, id: `${claim.offset}-${claim.tag}` });
      } else {
        const { epoch, offset, tag, seq } = claim;
        job.resolve({ position: { epoch, offset, tag }, seq, duplicate: true });
      }
    }
    return this.#search(batch, from, deadline);
  }

  /** The log has gone on: finds its newest record, and in what is new the entries of those keys that another has written. */
  async #goOn(batch: readonly Claimed[], previous: number, deadline: number): Promise<Claimed[]> {
    this.#tail = await this.#host.log.last(this.channel, deadline);
    return this.#search(batch, previous, deadline);
  }

  /** Answers the jobs whose entry is behind a record, and leaves the others. */
  async #search(batch: readonly Claimed[], after: number, deadline: number): Promise<Claimed[]> {
    const tail = this.#tail;
    const left = new Map(batch.flatMap((one) => (one.id === undefined ? [] : [[one.id, one]])));
    if (!tail || left.size === 0 || tail.seq <= after) return [...batch];
    const found = new Set<Claimed>();
    const look = (record: StoredRecord): boolean => {
      for (const [index, id] of record.claims) {
        const one = left.get(id);
        if (!one || found.has(one)) continue;
        found.add(one);
        this.#answer(one.job, record, index, true);
      }
      return found.size < left.size;
    };
    if (tail.previous <= after) look(tail);
    else await this.#host.log.range(this.channel, after + 1, tail.seq, deadline, look);
    return batch.filter((one) => !found.has(one));
  }

  #record(batch: readonly Claimed[]): Record {
    const { log, clock } = this.#host;
    const tail = this.#tail;
    const bytes = batch.reduce((sum, { job }) => sum + job.data.length, tail?.bytes ?? 0);
    const entries = batch.map(({ job }) => ({ salt: randomText(SALT_CHARACTERS), data: job.data }));
    const claims = batch.flatMap(({ id }, index) => (id === undefined ? [] : [[index, id] as const]));
    const asked = batch[0]?.job.retention;
    if (!tail) return { ...log.first(), bytes, claims, entries, retention: asked };
    const now = clock.now();
    const head = headOf(tail);
    const retention = asked ?? tail.retention;
    // What the old retention has dropped stays dropped under the new one.
    const { first } = visibleOf(tail, this.#host.retention, now);
    const { maxEntries } = retention ?? this.#host.retention;
    return {
      id: log.newId(),
      epoch: tail.epoch,
      offset: head.offset + 1,
      before: head.tag,
      previous: tail.seq,
      time: Math.max(now, tail.time),
      first: Math.max(first, head.offset + entries.length - maxEntries + 1),
      retention,
      bytes,
      milestones: milestonesAfter(tail),
      claims,
      entries,
    };
  }

  #accept(batch: readonly Claimed[], record: StoredRecord): void {
    // Its data is of no more use here.
    const tail = { ...record, entries: record.entries.map(({ salt }) => ({ salt, data: NOTHING })) };
    this.#tail = tail;
    for (const [index, { job }] of batch.entries()) this.#answer(job, record, index, false);
    this.#host.written(this.channel, tail);
  }

  #answer(job: Job, record: StoredRecord, index: number, duplicate: boolean): void {
    const { epoch, offset, seq } = record;
    const position = { epoch, offset: offset + index, tag: tagAt(record, index) };
    if (job.key !== undefined)
      this.#host.keys.done(this.channel, job.key, { ...position, seq: seqAt(seq, index) });
    job.resolve({ position, seq: seqAt(seq, index), duplicate });
  }
}

function isSameRetention(a: Retention | undefined, b: Retention | undefined): boolean {
  return a?.maxEntries === b?.maxEntries && a?.maxAgeMs === b?.maxAgeMs;
}
