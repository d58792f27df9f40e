import { HoldfastError } from "../errors.ts";

/** What other nodes said to a request: one value or more for each answer, and why there is not all of it. */
export interface Answers {
  readonly values: readonly unknown[];
  readonly error?: Error;
}

interface OpenRequest {
  readonly missing: Set<string>;
  readonly expected: number;
  readonly values: unknown[];
  /** Parts that have come so far of a node's answer. */
  readonly parts: Map<string, number>;
  bytes: number;
  readonly timer: NodeJS.Timeout;
  readonly late: NodeJS.Timeout;
  readonly resolve: (answers: Answers) => void;
}

const MAX_OPEN = 10_000;
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;
/** A node that has not answered after so long may be gone. */
const LATE_MS = 500;
/** The longest that a timer takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The requests that this node waits for answers to, each until all nodes have answered that were asked, or its time is over. */
export class OpenRequests {
  readonly #open = new Map<string, OpenRequest>();
  readonly #onLate: (nodes: ReadonlySet<string>) => void;

  /** @param onLate told whose answers a request waits for unusually long */
  constructor(onLate: (nodes: ReadonlySet<string>) => void = () => {}) {
    this.#onLate = onLate;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Waits for the answers of these nodes. Never rejects. */
  open(request: string, nodes: ReadonlySet<string>, timeoutMs: number): Promise<Answers> {
    if (nodes.size === 0) return Promise.resolve({ values: [] });
    if (this.#open.size >= MAX_OPEN) {
      return Promise.resolve({ values: [], error: new HoldfastError("REQUESTS_TOO_MANY") });
    }
    const { promise, resolve } = Promise.withResolvers<Answers>();
    const timer = setTimeout(
      () => {
        const { missing, expected } = open;
        this.end(
          request,
          new Error(`timeout reached: only ${expected - missing.size} responses received out of ${expected}`),
        );
      },
      Math.min(timeoutMs, MAX_TIMEOUT_MS),
    );
    const late = setTimeout(() => this.#onLate(open.missing), LATE_MS).unref();
    const open: OpenRequest = {
      missing: new Set(nodes),
      expected: nodes.size,
      values: [],
      parts: new Map(),
      bytes: 0,
      timer,
      late,
      resolve,
    };
    this.#open.set(request, open);
    return promise;
  }

  /** One part of what a node answers. */
  answered(request: string, node: string, values: readonly unknown[], bytes: number, parts: number): void {
    const open = this.#open.get(request);
    if (!open?.missing.has(node)) return;
    open.bytes += bytes;
    if (open.bytes > MAX_ANSWER_BYTES) {
      this.end(request, new HoldfastError("ANSWERS_TOO_LARGE"));
      return;
    }
    for (const value of values) open.values.push(value);
    const arrived = (open.parts.get(node) ?? 0) + 1;
    open.parts.set(node, arrived);
    if (arrived >= parts) this.#done(request, open, node);
  }

  /** A node that is gone has nothing more to say. */
  gone(node: string): void {
    for (const [request, open] of [...this.#open]) this.#done(request, open, node);
  }

  end(request: string, error?: Error): void {
    const open = this.#open.get(request);
    if (!open) return;
    this.#open.delete(request);
    clearTimeout(open.timer);
    clearTimeout(open.late);
    open.resolve(error ? { values: open.values, error } : { values: open.values });
  }

  endAll(error: Error): void {
    for (const request of [...this.#open.keys()]) this.end(request, error);
  }

  #done(request: string, open: OpenRequest, node: string): void {
    if (open.missing.delete(node) && open.missing.size === 0) this.end(request);
  }
}
