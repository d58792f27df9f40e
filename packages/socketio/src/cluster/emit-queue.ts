import type { Broker, Position, Publication, PublishOutcome } from "@holdfast/broker";
import { HoldfastError } from "../errors.ts";

/** Where a channel's log holds a copy of what was emitted. */
export interface Emitted {
  readonly channel: string;
  readonly position: Position;
  readonly seq: number;
}

/** What an emit comes after, beside what was emitted to its channels before. */
export interface EmitOrder {
  /** It is not sent before these are settled. */
  readonly after?: readonly Promise<unknown>[];
  /** The same, of rooms that are just being followed: soon over. What is emitted later, to whatever channel, waits too. */
  readonly joins?: readonly Promise<unknown>[];
  /** Channels of rooms whose members are left out, for `settled`. */
  readonly except?: readonly string[];
  /** It only asks something: it waits for what is before it on its own channels, but not for the rest. */
  readonly isQuestion?: boolean;
}

/** What every emit waits for that is called after it: numbered in the order of the calls. */
export interface Gate {
  /** The number of the newest; 0 where there is none. */
  readonly newest: number;
  /** Whether this one, and all before it, are over. */
  isOver(number: number): boolean;
}

const OPEN: Gate = { newest: 0, isOver: () => true };

/** An emit that is not answered yet. */
export interface UnderWay {
  /** Goes up with each emit of this node. */
  readonly number: number;
  readonly done: Promise<readonly Emitted[]>;
}

/** One emit: copies for one or more channels. */
interface Emit extends UnderWay {
  readonly publications: readonly Publication[];
  /** Channels of rooms that are left out. */
  readonly except: readonly string[];
  readonly bytes: number;
  resolve(emitted: readonly Emitted[]): void;
  reject(error: unknown): void;
  /** Something that must come first is still under way. */
  held: boolean;
  /** Later ones wait as long as this one is held. */
  readonly holdsAll: boolean;
  /** Of the gate: it waits until that is over, and so do all later ones. */
  readonly gate: number;
  readonly isQuestion: boolean;
  /** The emit before it to each of its channels, until this one is answered, which that is then, too. */
  earlier: readonly (Emit | undefined)[];
}

export interface EmitQueueLimits {
  /** Emits that wait for the broker, or for what they have to come after. */
  readonly maxEmits: number;
  /** Their bytes. */
  readonly maxBytes: number;
}

export const EMIT_QUEUE_LIMITS: EmitQueueLimits = { maxEmits: 65_536, maxBytes: 64 * 1024 * 1024 };

/** The bounds of the port's `publishAll`. */
const BATCH_PUBLICATIONS = 1_000;
const BATCH_BYTES = 2 * 1024 * 1024;
/** Batches under way at a time where the logs have no common order: a channel that is slow to answer holds up no other. */
const BATCHES = 8;
/** Emits that are looked at for one that leaves out nobody of some rooms. */
const MAX_LOOKED = 16;

/**
 * One node's way to the logs. What it emits to a channel is there in the order of the calls, also where an emit has to
 * wait for something; what comes in one turn of the event loop goes out together.
 *
 * The port keeps no order between publishes that are not awaited, so a channel has one batch under way at a time. What is
 * emitted to it meanwhile goes into its next one. On a broker that has one sequence for all channels there is one batch
 * under way in all, so that its order is that of the calls, whatever the channels.
 */
export class EmitQueue {
  readonly #broker: Pick<Broker, "abilities" | "publish" | "publishAll">;
  readonly #limits: EmitQueueLimits;
  readonly #gate: Gate;
  readonly #maxBatches: number;
  readonly #underWay = new Set<Emit>();
  readonly #busy = new Set<string>();
  /** The newest emit to each channel that is not answered yet. */
  readonly #newest = new Map<string, Emit>();
  #waiting: Emit[] = [];
  #bytes = 0;
  #count = 0;
  /** Questions among those that wait. */
  #questions = 0;
  #batches = 0;
  #scheduled = false;

  constructor(
    broker: Pick<Broker, "abilities" | "publish" | "publishAll">,
    limits: EmitQueueLimits = EMIT_QUEUE_LIMITS,
    gate: Gate = OPEN,
  ) {
    this.#broker = broker;
    this.#limits = limits;
    this.#gate = gate;
    this.#maxBatches = broker.abilities.oneSequence === true ? 1 : BATCHES;
  }

  /** Emits that were not answered yet. */
  get size(): number {
    return this.#waiting.length + this.#underWay.size;
  }

  /**
   * Appends to the channels' logs, in the order of the calls.
   *
   * @returns resolves once all copies are accepted. Rejects with the BrokerError of the first that was refused, or with
   *   HoldfastError `EMITS_TOO_MANY`.
   */
  add(
    publications: readonly Publication[],
    { after = [], joins = [], except = [], isQuestion = false }: EmitOrder = {},
  ): Promise<readonly Emitted[]> {
    const bytes = publications.reduce((sum, { data }) => sum + data.length, 0);
    if (this.size >= this.#limits.maxEmits || this.#bytes + bytes > this.#limits.maxBytes) {
      return Promise.reject(new HoldfastError("EMITS_TOO_MANY"));
    }
    const { promise: done, resolve, reject } = Promise.withResolvers<readonly Emitted[]>();
    const held = after.length + joins.length > 0;
    const holdsAll = joins.length > 0;
    const earlier = publications.map(({ channel }) => this.#newest.get(channel));
    const emit: Emit = {
      number: ++this.#count,
      publications,
      except,
      bytes,
      done,
      resolve,
      reject,
      held,
      holdsAll,
      gate: isQuestion ? 0 : this.#gate.newest,
      isQuestion,
      earlier,
    };
    for (const { channel } of publications) this.#newest.set(channel, emit);
    this.#bytes += bytes;
    this.#waiting.push(emit);
    if (isQuestion) this.#questions++;
    if (emit.held) {
      void Promise.allSettled([...after, ...joins]).then(() => {
        emit.held = false;
        this.#schedule();
      });
    } else this.#schedule();
    return done;
  }

  /** Something of the gate is over. */
  advance(): void {
    if (this.#waiting.length > 0) this.#schedule();
  }

  /**
   * Resolves once all that was added so far is answered; undefined where nothing is under way.
   *
   * @param channels only what goes to one of these, or leaves out who is there
   */
  settled(channels?: readonly string[]): Promise<unknown> | undefined {
    if (this.size === 0) return undefined;
    const concerned = [...this.#underWay, ...this.#waiting].filter(
      ({ publications, except }) =>
        !channels ||
        publications.some(({ channel }) => channels.includes(channel)) ||
        except.some((channel) => channels.includes(channel)),
    );
    return concerned.length === 0 ? undefined : Promise.allSettled(concerned.map(({ done }) => done));
  }

  /**
   * The newest emit to a channel that is not answered yet, but for those that leave out who is in one of these rooms.
   */
  newest(channel: string, rooms: readonly string[] = []): UnderWay | undefined {
    let emit = this.#newest.get(channel);
    for (let looked = 0; emit && looked < MAX_LOOKED; looked++) {
      if (!emit.except.some((room) => rooms.includes(room))) break;
      emit = emit.earlier[emit.publications.findIndex((one) => one.channel === channel)];
    }
    return emit;
  }

  #schedule(): void {
    if (this.#scheduled || this.#batches >= this.#maxBatches) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#batches < this.#maxBatches) {
      const batch = this.#take();
      if (batch.length === 0) return;
      void this.#send(batch);
    }
  }

  /** The emits that may go now: none of their channels is busy, or has an earlier one that waits. */
  #take(): Emit[] {
    const batch: Emit[] = [];
    const blocked = new Set<string>();
    const left: Emit[] = [];
    const [first] = this.#waiting;
    if (first && !this.#gate.isOver(first.gate) && this.#questions === 0) return batch;
    let isShut = false;
    let count = 0;
    let bytes = 0;
    for (const [index, emit] of this.#waiting.entries()) {
      const isBlocked = emit.publications.some(
        ({ channel }) => this.#busy.has(channel) || blocked.has(channel),
      );
      isShut ||= (emit.held && emit.holdsAll) || !this.#gate.isOver(emit.gate);
      if (isShut && this.#questions === 0) {
        left.push(...this.#waiting.slice(index));
        break;
      }
      if (emit.held || isBlocked || (isShut && !emit.isQuestion)) {
        for (const { channel } of emit.publications) blocked.add(channel);
        left.push(emit);
        continue;
      }
      const isFull =
        count + emit.publications.length > BATCH_PUBLICATIONS || bytes + emit.bytes > BATCH_BYTES;
      if (isFull && batch.length > 0) {
        left.push(...this.#waiting.slice(index));
        break;
      }
      batch.push(emit);
      count += emit.publications.length;
      bytes += emit.bytes;
    }
    this.#waiting = left;
    for (const emit of batch) {
      this.#underWay.add(emit);
      if (emit.isQuestion) this.#questions--;
      for (const { channel } of emit.publications) this.#busy.add(channel);
    }
    return batch;
  }

  async #send(batch: readonly Emit[]): Promise<void> {
    this.#batches++;
    const outcomes = await this.#publish(batch.flatMap(({ publications }) => publications));
    this.#batches--;
    let at = 0;
    for (const emit of batch) {
      const own = outcomes.slice(at, at + emit.publications.length);
      at += own.length;
      this.#underWay.delete(emit);
      this.#bytes -= emit.bytes;
      for (const { channel } of emit.publications) {
        this.#busy.delete(channel);
        if (this.#newest.get(channel) === emit) this.#newest.delete(channel);
      }
      emit.earlier = [];
      settle(emit, own);
    }
    if (this.#waiting.length > 0) this.#schedule();
  }

  /** In pieces that the port takes, one after the other. Never rejects. */
  async #publish(
    publications: readonly Publication[],
  ): Promise<(PublishOutcome | { type: "failed"; error: unknown })[]> {
    const outcomes: (PublishOutcome | { type: "failed"; error: unknown })[] = [];
    let from = 0;
    while (from < publications.length) {
      let to = from;
      let bytes = 0;
      while (to < publications.length && to - from < BATCH_PUBLICATIONS) {
        bytes += publications[to]?.data.length ?? 0;
        if (to > from && bytes > BATCH_BYTES) break;
        to++;
      }
      const piece = publications.slice(from, to);
      from = to;
      try {
        outcomes.push(...(await this.#publishPiece(piece)));
      } catch (error) {
        outcomes.push(...piece.map(() => ({ type: "failed" as const, error })));
      }
    }
    return outcomes;
  }

  async #publishPiece(piece: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    const [first] = piece;
    if (!first || piece.length > 1) return this.#broker.publishAll(piece);
    // One entry alone may have more bytes than a batch.
    const { channel, data, ...options } = first;
    return [{ type: "published", ...(await this.#broker.publish(channel, data, options)) }];
  }
}

function settle(
  emit: Emit,
  outcomes: readonly (PublishOutcome | { type: "failed"; error: unknown })[],
): void {
  const emitted: Emitted[] = [];
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.type !== "published") {
      emit.reject(outcome.error);
      return;
    }
    const channel = emit.publications[index]?.channel ?? "";
    emitted.push({ channel, position: outcome.position, seq: outcome.seq });
  }
  emit.resolve(emitted);
}
