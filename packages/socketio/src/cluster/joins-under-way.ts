/** Nobody waits longer for a join that the broker does not bring about. */
const MOST_MS = 2_000;

interface Join {
  readonly socket: string;
  readonly deadline: number;
  readonly over: PromiseWithResolvers<void>;
  isOverdue: boolean;
}

/** Resolves once all joins up to a number are over. */
interface Waiting {
  readonly number: number;
  readonly over: PromiseWithResolvers<void>;
}

/**
 * Joins of this node's sockets whose rooms are not followed yet, so that what others emit there would not come. Programs
 * seldom await a join, and on one server they need not: so whatever tells of one, to the client, to other nodes or by an
 * emit, waits here until it is in effect.
 *
 * They are numbered in the order of the calls: what waits for all of them so far needs to know one number only.
 */
export class JoinsUnderWay {
  /** By their numbers, which go up: the first is the oldest. */
  readonly #joins = new Map<number, Join>();
  readonly #bySocket = new Map<string, Set<Join>>();
  readonly #waiting: Waiting[] = [];
  readonly #onOver: () => void;
  #count = 0;
  /** Joins that nobody waits for any more, and that are not in effect all the same. */
  #overdue = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onOver told when the oldest is over */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  /** The number of the newest; 0 where none is under way. */
  get newest(): number {
    return this.#joins.size === 0 ? 0 : this.#count;
  }

  /** Whether this join, and all before it, are over. */
  isOver(number: number): boolean {
    if (this.#joins.size === 0) return true;
    const [oldest] = this.#joins.keys();
    return oldest === undefined || number < oldest;
  }

  /**
   * A socket has joined rooms. Where an earlier join has taken too long already, nothing waits for this one: the broker, or
   * the part of it that has such rooms, is away, and that must not hold up the rest again and again.
   *
   * @param effect settles when it is in effect, or is not to be waited for
   */
  begin(socket: string, effect: Promise<unknown>): void {
    if (this.#overdue > 0) return;
    const number = ++this.#count;
    const deadline = performance.now() + MOST_MS;
    const join: Join = { socket, deadline, over: Promise.withResolvers(), isOverdue: false };
    this.#joins.set(number, join);
    const own = this.#bySocket.get(socket) ?? new Set();
    this.#bySocket.set(socket, own.add(join));
    if (this.#timer === undefined) this.#watch(join);
    const end = () => {
      if (join.isOverdue) this.#overdue--;
      else this.#end(number, join);
    };
    effect.then(end, end);
  }

  /** Resolves once those joins of a socket are over that are under way now; undefined where none is. */
  of(socket: string): Promise<unknown> | undefined {
    const own = this.#joins.size === 0 ? undefined : this.#bySocket.get(socket);
    return own && Promise.all(Array.from(own, ({ over }) => over.promise));
  }

  /**
   * Resolves once all joins are over that are under way now; undefined where none is.
   *
   * @param mostMs after this time in any case
   */
  all(mostMs = MOST_MS): Promise<void> | undefined {
    if (this.#joins.size === 0) return undefined;
    const over = this.#untilOver();
    return mostMs < MOST_MS ? atMost(over, mostMs) : over;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Those who wait for the same joins have one promise. */
  #untilOver(): Promise<void> {
    let last = this.#waiting.at(-1);
    if (last?.number !== this.#count) {
      last = { number: this.#count, over: Promise.withResolvers() };
      this.#waiting.push(last);
    }
    return last.over.promise;
  }

  #end(number: number, join: Join): void {
    const [oldest] = this.#joins.keys();
    this.#joins.delete(number);
    const own = this.#bySocket.get(join.socket);
    own?.delete(join);
    if (own?.size === 0) this.#bySocket.delete(join.socket);
    join.over.resolve();
    if (number !== oldest) return;
    const over = this.#waiting.findIndex((one) => !this.isOver(one.number));
    for (const { over: all } of this.#waiting.splice(0, over < 0 ? this.#waiting.length : over))
      all.resolve();
    this.#onOver();
  }

  #watch(oldest: Join): void {
    const wait = Math.max(1, oldest.deadline - performance.now());
    this.#timer = setTimeout(() => this.#expire(), wait).unref();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [number, join] of this.#joins) {
      if (join.deadline > now) {
        this.#watch(join);
        return;
      }
      join.isOverdue = true;
      this.#overdue++;
      this.#end(number, join);
    }
  }
}

async function atMost(over: Promise<void>, ms: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([over, late.promise]);
  clearTimeout(timer);
}
