import type { Retention } from "@holdfast/broker";
import type { Log } from "./log.ts";
import type { StoredRecord } from "./record.ts";
import type { ServerClock } from "./server-clock.ts";
import { visibleOf } from "./visible.ts";

interface Place {
  readonly offset: number;
  readonly seq: number;
  /** When it was noted. */
  readonly time: number;
}

interface Trimmed {
  tail: StoredRecord;
  /** Records before which may be deleted one day, oldest first. */
  places: readonly Place[];
}

export interface TrimmerOptions {
  readonly retention: Retention;
  /** Records younger than this are kept for the idempotency keys in them. */
  readonly keepMs: number;
  readonly sweepMs: number;
}

const CHANNELS = 10_000;
const PLACES = 64;

/**
 * Deletes what retention has dropped, of the channels that this node writes to. It is invisible before; deleting follows in
 * steps of some hundred entries, after the time of the idempotency keys. The newest record always stays, since it is the
 * channel's state. What a node that is gone has left behind goes with the stream's own bound on age.
 */
export class Trimmer {
  readonly #log: Log;
  readonly #clock: ServerClock;
  readonly #options: TrimmerOptions;
  readonly #channels = new Map<string, Trimmed>();
  readonly #timer: NodeJS.Timeout;
  #sweeping = false;

  constructor(log: Log, clock: ServerClock, options: TrimmerOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#options = options;
    this.#timer = setInterval(() => void this.sweep(), options.sweepMs);
    this.#timer.unref();
  }

  /** A channel's newest record is this now. */
  written(channel: string, tail: StoredRecord): void {
    const known = this.#channels.get(channel);
    const time = this.#clock.now();
    const here = { offset: tail.offset, seq: tail.seq, time };
    const last = known?.places.at(-1)?.seq ?? 0;
    const milestones = tail.milestones.map(({ offset, seq }) => ({ offset, seq, time })).reverse();
    const places = [...(known?.places ?? []), ...milestones.filter(({ seq }) => seq > last)];
    this.#channels.delete(channel);
    this.#channels.set(channel, {
      tail,
      // A channel that falls silent is trimmed up to its newest record, once that is old.
      places: places.length > PLACES ? places.filter((_, n) => n % 2 === 0) : places.length ? places : [here],
    });
    if (this.#channels.size <= CHANNELS) return;
    const [oldest] = this.#channels.keys();
    if (oldest !== undefined) this.#channels.delete(oldest);
  }

  /** Never rejects: what can't be deleted now is tried again. */
  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      for (const [channel, trimmed] of [...this.#channels]) await this.#trim(channel, trimmed);
    } catch {
      // The next sweep finds the same.
    } finally {
      this.#sweeping = false;
    }
  }

  end(): void {
    clearInterval(this.#timer);
    this.#channels.clear();
  }

  async #trim(channel: string, trimmed: Trimmed): Promise<void> {
    const { tail, places } = trimmed;
    const now = this.#clock.now();
    const { first } = visibleOf(tail, this.#options.retention, now);
    const old = now - this.#options.keepMs;
    const isSilent = first > tail.offset && tail.time < old;
    const last = places.findLast((place) => place.offset <= first && place.time < old);
    const before = isSilent ? tail.seq : last?.seq;
    if (before === undefined) return;
    await this.#log.purge(channel, before, performance.now() + this.#options.sweepMs);
    if (this.#channels.get(channel) !== trimmed) return;
    if (isSilent) this.#channels.delete(channel);
    else trimmed.places = places.filter(({ seq }) => seq > before);
  }
}
