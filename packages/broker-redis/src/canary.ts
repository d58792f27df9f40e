export interface CanaryHost {
  /** Publishes to this process's own subscription. */
  send(deadline: number): Promise<unknown>;
  /** What was published did not come back: one of the connections is not what it seems. */
  dead(error: Error): void;
}

/** Tries the whole way from a command to a subscription, again and again, since either end may be dead while the other lives. */
export class Canary {
  readonly #host: CanaryHost;
  readonly #heartbeatMs: number;
  readonly #deadAfterMs: number;
  readonly #timer: NodeJS.Timeout;
  #active = false;
  #beatAt = 0;
  /** For how long the first that has not come back was awaited. */
  #awaitedMs: number | undefined;

  constructor(
    host: CanaryHost,
    { heartbeatMs, deadAfterMs }: { readonly heartbeatMs: number; readonly deadAfterMs: number },
  ) {
    this.#host = host;
    this.#heartbeatMs = heartbeatMs;
    this.#deadAfterMs = deadAfterMs;
    this.#timer = setInterval(() => this.#beat(), heartbeatMs);
    this.#timer.unref();
  }

  /** The subscription stands. */
  begin(): void {
    this.#active = true;
    this.#awaitedMs = undefined;
  }

  /** It does not. */
  rest(): void {
    this.#active = false;
    this.#awaitedMs = undefined;
  }

  heard(): void {
    this.#awaitedMs = undefined;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    if (!this.#active) return;
    const now = performance.now();
    if (this.#awaitedMs === undefined) this.#awaitedMs = 0;
    // While this process itself stood still, it read nothing of what came.
    else this.#awaitedMs += Math.min(now - this.#beatAt, this.#heartbeatMs);
    if (this.#awaitedMs > this.#deadAfterMs) {
      this.rest();
      this.#host.dead(new Error("What was published did not come back."));
      return;
    }
    this.#beatAt = now;
    // Where it could not be sent, nothing comes back either.
    this.#host.send(now + this.#deadAfterMs).catch(() => undefined);
  }
}
