export interface CanaryHost {
  /** Publishes to this process's own subscription. */
  send(deadline: number): Promise<unknown>;
  /** What was published did not come back: one of the connections is not what it seems. */
  dead(error: Error): void;
}

/** Tries the whole way from a command to a subscription, again and again, since either end may be dead while the other lives. */
export class Canary {
  readonly #host: CanaryHost;
  readonly #deadAfterMs: number;
  readonly #timer: NodeJS.Timeout;
  #active = false;
  /** When the first that has not come back was sent. */
  #sent: number | undefined;

  constructor(
    host: CanaryHost,
    { heartbeatMs, deadAfterMs }: { readonly heartbeatMs: number; readonly deadAfterMs: number },
  ) {
    this.#host = host;
    this.#deadAfterMs = deadAfterMs;
    this.#timer = setInterval(() => this.#beat(), heartbeatMs);
    this.#timer.unref();
  }

  /** The subscription stands. */
  begin(): void {
    this.#active = true;
    this.#sent = undefined;
  }

  /** It does not. */
  rest(): void {
    this.#active = false;
    this.#sent = undefined;
  }

  heard(): void {
    this.#sent = undefined;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    if (!this.#active) return;
    const now = performance.now();
    if (this.#sent !== undefined && now - this.#sent > this.#deadAfterMs) {
      this.rest();
      this.#host.dead(new Error("What was published did not come back."));
      return;
    }
    this.#sent ??= now;
    // Where it could not be sent, nothing comes back either.
    this.#host.send(now + this.#deadAfterMs).catch(() => undefined);
  }
}
