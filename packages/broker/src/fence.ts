/** Publishes a token to this process's own subscription. */
export type SendToken = (token: string) => Promise<unknown>;

/**
 * Says when everything that was pushed before a moment has come: a token that is published then comes behind it. Those who ask
 * in one turn of the event loop share a token.
 */
export class Fence {
  readonly #send: SendToken;
  readonly #waiting = new Map<string, { resolve(): void; reject(error: Error): void }>();
  #next: Promise<void> | undefined;
  #count = 0;

  constructor(send: SendToken) {
    this.#send = send;
  }

  /** Rejects when the token could not be sent, or the connection it would have come by is lost. */
  passed(): Promise<void> {
    this.#next ??= this.#pass();
    return this.#next;
  }

  /** A token has come. */
  heard(token: string): void {
    this.#waiting.get(token)?.resolve();
    this.#waiting.delete(token);
  }

  /** No token that was sent comes any more. */
  lost(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error("The connection was lost."));
    this.#waiting.clear();
  }

  async #pass(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#next = undefined;
    const token = `${++this.#count}`;
    const heard = new Promise<void>((resolve, reject) => this.#waiting.set(token, { resolve, reject }));
    try {
      await Promise.all([heard, this.#send(token)]);
    } finally {
      this.#waiting.delete(token);
    }
  }
}
