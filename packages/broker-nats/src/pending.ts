import { BrokerError } from "@holdfast/broker";

/** Counts the calls that wait, and their bytes, and refuses more than there is room for. */
export class Pending {
  readonly #maxCalls: number;
  readonly #maxBytes: number;
  #calls = 0;
  #bytes = 0;

  constructor(maxCalls: number, maxBytes: number) {
    this.#maxCalls = maxCalls;
    this.#maxBytes = maxBytes;
  }

  /** @throws BrokerError `BROKER_UNAVAILABLE` */
  async run<T>(bytes: number, call: () => Promise<T>): Promise<T> {
    if (this.#calls >= this.#maxCalls || this.#bytes + bytes > this.#maxBytes)
      throw new BrokerError("BROKER_UNAVAILABLE", "Too many calls wait for NATS.");
    this.#calls++;
    this.#bytes += bytes;
    try {
      return await call();
    } finally {
      this.#calls--;
      this.#bytes -= bytes;
    }
  }
}
