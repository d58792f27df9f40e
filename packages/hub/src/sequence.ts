import type { Abilities, ChannelEvent } from "@holdfast/broker";
import type { HubCounters } from "./counters.ts";
import type { HubEvent } from "./events.ts";

/** What is handed out in order. */
export type SequencedEvent = Extract<ChannelEvent, { readonly type: "entry" | "reset" | "volatile" }>;

/** A channel, as far as its order among others goes. */
export interface Sequenced {
  handOut(event: SequencedEvent): void;
}

export interface SequenceBounds {
  readonly maxHeldEntries: number;
  readonly maxHeldBytes: number;
  readonly maxHeldMs: number;
}

interface Held {
  readonly channel: Sequenced;
  readonly event: SequencedEvent;
  readonly place: Place;
}

/** Where something held comes: logs that were begun anew count from 1 again, so all of them come after the older ones. */
interface Place {
  readonly log: number;
  readonly seq: number;
}

/** What holding an event costs beside its data, about. */
const EVENT_BYTES = 256;
/** At a bound, at least one in so many of what is held must be free to go, or order gives way. */
const RELIEF = 4;
const BEGINNING: Place = { log: 0, seq: 0 };

/**
 * The one order in which a node hands out what comes on all of its channels, on a broker with the ability `oneSequence`.
 *
 * While a channel is behind, what comes is held; once none is, it is handed out by `seq`. Where that takes too long or too
 * much memory, what none of those that are behind can precede any more goes out first; where that is little, order gives
 * way: what is held goes out, and what comes goes through as it comes, until no channel is behind. What has no `seq` keeps
 * its place after what came before it on its own channel.
 */
export class Sequence {
  readonly #isOne: boolean;
  readonly #bounds: SequenceBounds;
  readonly #counters: HubCounters;
  readonly #onEvent: (event: HubEvent) => void;
  readonly #behind = new Set<Sequenced>();
  #held: Held[] = [];
  #heldBytes = 0;
  /** The place of the newest event held of each channel. */
  readonly #places = new Map<Sequenced, Place>();
  #timer: NodeJS.Timeout | undefined;
  #isHandingOut = false;
  /** A bound was met, and a channel is still behind. */
  #gaveWay = false;
  /** The log counts anew, and nothing of it was handed out yet. */
  #isUncounted = false;
  #seq = 0;
  #isOver = false;
  #waiting: { readonly seq: number; readonly resolve: () => void }[] = [];

  constructor(
    abilities: Abilities,
    bounds: SequenceBounds,
    counters: HubCounters,
    onEvent: (event: HubEvent) => void,
  ) {
    this.#isOne = abilities.oneSequence === true;
    this.#bounds = bounds;
    this.#counters = counters;
    this.#onEvent = onEvent;
  }

  /** The greatest `seq` that was handed to an outlet, the entry in hand included. */
  get seq(): number {
    return this.#seq;
  }

  get inOrder(): boolean {
    return this.#isOne && !this.#gaveWay && !this.#isUncounted;
  }

  /** Resolves once `seq` is at least this, or begins anew, or ends. */
  reached(seq: number): Promise<void> {
    if (this.#seq >= seq || this.#isOver) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ seq, resolve }));
  }

  behind(channel: Sequenced): void {
    if (this.#isOne) this.#behind.add(channel);
  }

  /** The channel keeps up again, or is followed no more. */
  abreast(channel: Sequenced): void {
    if (this.#behind.delete(channel) && this.#behind.size === 0) this.#settle();
  }

  /** Hands out what came on a channel, now or in its turn. */
  take(channel: Sequenced, event: SequencedEvent): void {
    const waits = this.#isHandingOut || (this.#behind.size > 0 && !this.#gaveWay);
    if (!this.#isOne || !waits) {
      this.#handOut(channel, event);
      return;
    }
    this.#hold(channel, event);
    const { maxHeldEntries, maxHeldBytes, maxHeldMs } = this.#bounds;
    if (this.#held.length > maxHeldEntries) this.#relieve("entries");
    else if (this.#heldBytes > maxHeldBytes) this.#relieve("bytes");
    else this.#timer ??= setTimeout(() => this.#relieve("time"), maxHeldMs).unref();
  }

  /** What is held is dropped. */
  end(): void {
    this.#isOver = true;
    this.#behind.clear();
    this.#keep([]);
    this.#wake();
  }

  #hold(channel: Sequenced, event: SequencedEvent): void {
    const { log, seq } = this.#places.get(channel) ?? BEGINNING;
    let place: Place = { log, seq };
    if (event.type === "entry") place = { log, seq: event.entry.seq };
    else if (isBegunAnew(event)) place = { log: log + 1, seq: 0 };
    this.#places.set(channel, place);
    this.#held.push({ channel, event, place });
    this.#heldBytes += bytesOf(event);
    this.#counters.held++;
  }

  /** No channel is behind. */
  #settle(): void {
    const gaveWay = this.#gaveWay;
    this.#gaveWay = false;
    if (gaveWay) this.#onEvent({ type: "in-order" });
    this.#releaseAll();
  }

  /** A bound was met. */
  #relieve(bound: "entries" | "bytes" | "time"): void {
    if (this.#isHandingOut) return;
    const places = Array.from(this.#behind, (channel) => this.#places.get(channel) ?? BEGINNING);
    const safe = places.reduce((least, place) => (compare(place, least) < 0 ? place : least));
    const isSafe = ({ place }: Held) => compare(place, safe) <= 0;
    if (this.#held.filter(isSafe).length * RELIEF < this.#held.length) {
      this.#gaveWay = true;
      this.#counters.gaveWay++;
      this.#onEvent({ type: "out-of-order", bound, held: this.#held.length, behind: this.#behind.size });
      this.#releaseAll();
    } else {
      const due = this.#held.filter(isSafe);
      this.#keep(this.#held.filter((held) => !isSafe(held)));
      this.#releaseAll(due);
    }
  }

  /** @param first what goes out although a channel is behind; then all, unless one is. */
  #releaseAll(first: Held[] = []): void {
    if (this.#isHandingOut) return;
    this.#isHandingOut = true;
    const failures = this.#release(first);
    // What comes while this is handed out, by what an outlet does, waits its turn.
    while (this.#held.length > 0 && (this.#behind.size === 0 || this.#gaveWay)) {
      const due = this.#held;
      this.#keep([]);
      failures.push(...this.#release(due));
    }
    this.#isHandingOut = false;
    // The engine is told of it, as of what any listener throws.
    if (failures.length > 0) throw failures[0];
  }

  /** @returns what outlets threw */
  #release(due: Held[]): unknown[] {
    const failures: unknown[] = [];
    for (const { channel, event } of due.sort((a, b) => compare(a.place, b.place))) {
      try {
        this.#handOut(channel, event);
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }

  #handOut(channel: Sequenced, event: SequencedEvent): void {
    if (event.type === "entry") this.#advance(event.entry.seq);
    else if (isBegunAnew(event)) {
      this.#seq = 0;
      this.#isUncounted = true;
      this.#wake();
    }
    channel.handOut(event);
  }

  #advance(seq: number): void {
    this.#isUncounted = false;
    if (seq > this.#seq) this.#seq = seq;
    else if (this.#isOne) this.#counters.late++;
    if (this.#waiting.length > 0) this.#wake(this.#seq);
  }

  #wake(seq = Number.POSITIVE_INFINITY): void {
    const due = this.#waiting.filter((one) => one.seq <= seq);
    this.#waiting = this.#waiting.filter((one) => one.seq > seq);
    for (const { resolve } of due) resolve();
  }

  #keep(held: Held[]): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held = held;
    this.#heldBytes = held.reduce((sum, { event }) => sum + bytesOf(event), 0);
    if (held.length === 0) this.#places.clear();
    else this.#timer = setTimeout(() => this.#relieve("time"), this.#bounds.maxHeldMs).unref();
  }
}

function compare(a: Place, b: Place): number {
  return a.log - b.log || a.seq - b.seq;
}

/** Whether the log was lost or rolled back, and its broker may count from an earlier `seq`; trimming loses no count. */
function isBegunAnew(event: SequencedEvent): boolean {
  return event.type === "reset" && event.reason !== "trimmed";
}

/** What holding it costs, about. */
function bytesOf(event: SequencedEvent): number {
  if (event.type === "entry") return EVENT_BYTES + event.entry.data.length;
  return EVENT_BYTES + (event.type === "volatile" ? event.data.length : 0);
}
