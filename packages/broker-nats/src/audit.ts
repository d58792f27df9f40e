import type { BrokerError } from "@holdfast/broker";
import type { StreamInfo } from "@nats-io/jetstream";
import type { Connection } from "./connection.ts";
import { unavailable } from "./failures.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { Log } from "./log.ts";
import type { Settings } from "./options.ts";
import type { StoredRecord } from "./record.ts";
import type { Subjects } from "./subjects.ts";

export interface AuditHost {
  channels(): Iterable<FollowedChannel>;
  /** A partition's log may be another than it was. */
  changed(): void;
  /** NATS answered, or did not. */
  alive(): void;
  dead(error: BrokerError): void;
}

/** What a partition's stream was at the last look. */
interface Seen {
  readonly leader: string | undefined;
  readonly created: string;
  readonly last: number;
}

/** Where NATS warns of more (its health check JETSTREAM_002). */
const MANY_SUBJECTS = 1_000_000;

/**
 * Looks for entries that were stored and not told of, so that a channel's last entry is not missed until the next one comes.
 * Where a partition's leader has changed or its log was rolled back, every followed channel of it is compared with the
 * log; else a few of those whose partition was written to, in turn.
 */
export class Audit {
  readonly #connection: Connection;
  readonly #subjects: Subjects;
  readonly #log: Log;
  readonly #settings: Settings;
  readonly #host: AuditHost;
  readonly #seen = new Map<number, Seen>();
  readonly #warned = new Set<number>();
  /** Newest records that had not been told of at the last look. */
  readonly #suspected = new Map<FollowedChannel, StoredRecord>();
  readonly #timer: NodeJS.Timeout;
  #turn: Iterator<FollowedChannel> | undefined;
  #running = false;

  constructor(connection: Connection, subjects: Subjects, log: Log, settings: Settings, host: AuditHost) {
    this.#connection = connection;
    this.#subjects = subjects;
    this.#log = log;
    this.#settings = settings;
    this.#host = host;
    this.#timer = setInterval(() => void this.#run(), settings.auditMs);
    this.#timer.unref();
  }

  /** The feeds were compared with the log just now, since the connection was made anew. */
  restart(): void {
    this.#seen.clear();
    this.#suspected.clear();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #run(): Promise<void> {
    if (this.#running || !this.#connection.ready) return;
    this.#running = true;
    try {
      for (let partition = 0; partition < this.#subjects.partitions; partition++) await this.#look(partition);
      this.#host.alive();
      await this.#compareSome();
    } catch (error) {
      if (this.#connection.ready) this.#host.dead(unavailable(error));
    } finally {
      this.#running = false;
    }
  }

  async #look(partition: number): Promise<void> {
    const info = await this.#connection.once(this.#deadline(), ({ manager }) =>
      manager.streams.info(this.#subjects.stream(partition)),
    );
    this.#warn(partition, info);
    const seen = this.#seen.get(partition);
    const now = { leader: info.cluster?.leader, created: info.created, last: info.state.last_seq };
    this.#seen.set(partition, now);
    if (!seen) return;
    if (seen.leader === now.leader && seen.created === now.created && now.last >= seen.last) return;
    this.#host.changed();
    for (const channel of this.#host.channels())
      if (this.#subjects.partitionOf(channel.name) === partition) channel.up();
  }

  async #compareSome(): Promise<void> {
    for (const [channel, record] of this.#suspected) channel.compare(record);
    this.#suspected.clear();
    const most = Math.ceil((this.#settings.auditsPerSecond * this.#settings.auditMs) / 1000);
    const some: FollowedChannel[] = [];
    this.#turn ??= [...this.#host.channels()].values();
    while (some.length < most) {
      const next = this.#turn.next();
      if (next.done) {
        this.#turn = undefined;
        break;
      }
      const partition = this.#subjects.partitionOf(next.value.name);
      const { last = 0 } = this.#seen.get(partition) ?? {};
      // Where the partition's newest record is older nothing can be missing.
      if (next.value.seq !== undefined && next.value.seq <= last) some.push(next.value);
    }
    await Promise.all(some.map((channel) => this.#compare(channel)));
  }

  async #compare(channel: FollowedChannel): Promise<void> {
    const before = channel.seq;
    const newest = await this.#log.last(channel.name, this.#deadline());
    if (before === undefined || channel.seq === undefined) return;
    // What is not told of yet may be on its way: it is looked at again later.
    if (newest && channel.lacks(newest)) this.#suspected.set(channel, newest);
    else if (!newest || newest.seq < before) channel.up();
  }

  #warn(partition: number, { state }: StreamInfo): void {
    const subjects = state.num_subjects ?? 0;
    if (subjects < MANY_SUBJECTS) this.#warned.delete(partition);
    else if (!this.#warned.has(partition)) {
      this.#warned.add(partition);
      this.#settings.onEvent({ type: "many-subjects", stream: this.#subjects.stream(partition), subjects });
    }
  }

  #deadline(): number {
    return performance.now() + this.#settings.tryMs;
  }
}
