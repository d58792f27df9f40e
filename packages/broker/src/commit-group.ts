import { BrokerError } from "./errors.ts";
import { storeError } from "./log-schema.ts";

/** The bounds of a group, and of what waits for one. */
export interface CommitBounds {
  /** Jobs in one transaction, so that one commit does not hold the event loop for long. */
  readonly maxGroup: number;
  /** Bytes of jobs that wait; past it a job is refused. */
  readonly maxWaitingBytes: number;
}

type Outcome = { readonly result: unknown } | { readonly refusal: BrokerError };

interface Job {
  readonly bytes: number;
  readonly work: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  outcome?: Outcome;
}

/**
 * Gathers the writes of one turn of the event loop into one transaction: a synced commit costs as much for one
 * entry as for hundreds.
 *
 * A job that throws a BrokerError is refused alone and must have written nothing; any other error undoes the whole
 * group, and all of its jobs are rejected. A job's promise resolves after the commit.
 */
export class CommitGroup {
  readonly #bounds: CommitBounds;
  readonly #transaction: (work: () => void) => void;
  readonly #settled: (error: unknown) => void;
  #jobs: Job[] = [];
  #bytes = 0;
  #scheduled: NodeJS.Immediate | undefined;

  /**
   * @param transaction runs the work and commits it, or undoes it and throws.
   * @param settled is called after each transaction, before its jobs learn of it; with the error when it was undone.
   */
  constructor(
    bounds: CommitBounds,
    transaction: (work: () => void) => void,
    settled: (error: unknown) => void,
  ) {
    this.#bounds = bounds;
    this.#transaction = transaction;
    this.#settled = settled;
  }

  /** @throws BrokerError `BROKER_UNAVAILABLE` when too much waits already; that or `BROKER_FULL` when the transaction fails. */
  add<T>(bytes: number, work: () => T): Promise<T> {
    if (this.#bytes + bytes > this.#bounds.maxWaitingBytes)
      return Promise.reject(new BrokerError("BROKER_UNAVAILABLE", "Too many bytes wait to be written."));
    this.#bytes += bytes;
    this.#scheduled ??= setImmediate(() => this.#commit());
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ bytes, work, resolve: resolve as (result: unknown) => void, reject });
    });
  }

  /** Commits now all that waits. */
  flush(): void {
    while (this.#jobs.length > 0) this.#commit();
  }

  #commit(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const group = this.#jobs.splice(0, this.#bounds.maxGroup);
    if (this.#jobs.length > 0) this.#scheduled = setImmediate(() => this.#commit());
    for (const job of group) this.#bytes -= job.bytes;
    const failure = this.#write(group);
    this.#settled(failure);
    for (const job of group) {
      if (failure !== undefined) job.reject(failure);
      else if (job.outcome && "refusal" in job.outcome) job.reject(job.outcome.refusal);
      else job.resolve(job.outcome?.result);
    }
  }

  #write(group: readonly Job[]): BrokerError | undefined {
    try {
      this.#transaction(() => {
        for (const job of group) job.outcome = attempt(job.work);
      });
      return undefined;
    } catch (cause) {
      return storeError("The log could not be written.", cause);
    }
  }
}

function attempt(work: () => unknown): Outcome {
  try {
    return { result: work() };
  } catch (error) {
    if (error instanceof BrokerError) return { refusal: error };
    throw error;
  }
}
