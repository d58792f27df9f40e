import type { BrokerStatus } from "./port.ts";

type StatusListener = (status: BrokerStatus) => void;

/** Whether a broker can be reached, for those who watch it. A watcher is told the present first, then each change. */
export class Status {
  readonly #listeners = new Set<{ readonly listener: StatusListener }>();
  readonly #onError: (error: unknown) => void;
  #current: BrokerStatus;

  constructor(current: BrokerStatus, onError: (error: unknown) => void) {
    this.#current = current;
    this.#onError = onError;
  }

  get current(): BrokerStatus {
    return this.#current;
  }

  watch(listener: StatusListener): () => void {
    const entry = { listener };
    this.#listeners.add(entry);
    this.#tell(listener);
    return () => this.#listeners.delete(entry);
  }

  available(): void {
    if (this.#current.type === "available") return;
    this.#change({ type: "available" });
  }

  /** Repeated failures of one kind are one change. */
  unavailable(error: Error): void {
    if (this.#current.type === "unavailable" && this.#current.error.message === error.message) return;
    this.#change({ type: "unavailable", error });
  }

  end(): void {
    this.#listeners.clear();
  }

  #change(status: BrokerStatus): void {
    this.#current = status;
    for (const { listener } of this.#listeners) this.#tell(listener);
  }

  #tell(listener: StatusListener): void {
    try {
      listener(this.#current);
    } catch (error) {
      this.#onError(error);
    }
  }
}

/** Where a listener's own error goes when nobody asked for it: a Node warning, once per error, and no crash. */
export function warnOfListener(error: unknown): void {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.emitWarning(`A broker listener threw: ${message}`, { code: "HOLDFAST_LISTENER" });
}
