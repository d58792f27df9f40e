import { setTimeout as pause } from "node:timers/promises";
import { BrokerError } from "@holdfast/broker";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node";
import { isStreamMissing, refusalOf, unavailable } from "./failures.ts";
import type { Settings, Target } from "./options.ts";

/** A connection whose streams are there. */
export interface Ready {
  readonly nats: NatsConnection;
  readonly stream: JetStreamClient;
  readonly manager: JetStreamManager;
  /** The largest message that the server takes, in bytes. */
  readonly maxPayload: number;
}

export interface ConnectionHost {
  /** Makes sure that the streams are there, whenever a connection was made. */
  prepare(ready: Ready): Promise<void>;
  up(ready: Ready): void;
  down(error: BrokerError): void;
}

/** So many answers in a row that did not come, over a connection that is alive: the server may be cut off from its cluster. */
const FAILURES_UNTIL_OTHER_SERVER = 3;
const RETRY_MS = 50;
const PREPARE_TRIES = 4;
/**
 * A server says that a stream is missing while it is still removing its files. One that is made in that moment shares them, and loses
 * its own (seen with nats-server 2.9).
 */
const REMOVAL_MS = 1000;

/** The connection to NATS, made again whenever it is lost, and to another server where this one doesn't get anything done. */
export class Connection {
  readonly #target: Target;
  readonly #settings: Settings;
  readonly #host: ConnectionHost;
  readonly #waiting = new Set<() => void>();
  #nats: NatsConnection | undefined;
  #ready: Ready | undefined;
  #failure = new BrokerError("BROKER_UNAVAILABLE", "The connection is being made.");
  /** Counts connections, so that what is prepared for one is not used for the next. */
  #round = 0;
  #failures = 0;
  #closed = false;

  constructor(target: Target, settings: Settings, host: ConnectionHost) {
    this.#target = target;
    this.#settings = settings;
    this.#host = host;
    void this.#run();
  }

  get ready(): Ready | undefined {
    return this.#ready;
  }

  get failure(): BrokerError {
    return this.#failure;
  }

  /**
   * Does some work over the connection, once it is there. What fails for a reason that may go away is tried again until the deadline, by
   * `performance.now()`; so it must do no harm twice.
   *
   * @throws BrokerError, and what the server refuses and `refusalOf` doesn't know
   */
  async call<T>(deadline: number, work: (ready: Ready) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.once(deadline, work);
      } catch (error) {
        const refusal = refusalOf(error);
        if (refusal) throw refusal;
        if (performance.now() + RETRY_MS >= deadline) throw unavailable(error);
        await pause(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** As `call`, but tries once. @throws what the work throws */
  async once<T>(deadline: number, work: (ready: Ready) => Promise<T>): Promise<T> {
    const ready = await this.#whenReady(deadline);
    try {
      const result = await work(ready);
      this.#failures = 0;
      return result;
    } catch (error) {
      if (this.#closed) throw new BrokerError("BROKER_CLOSED");
      this.#failed(ready, error);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#ready = undefined;
    this.#wake();
    await this.#nats?.close().catch(() => undefined);
  }

  async #whenReady(deadline: number): Promise<Ready> {
    while (!this.#ready) {
      if (this.#closed) throw new BrokerError("BROKER_CLOSED");
      const left = deadline - performance.now();
      if (left <= 0) throw this.#failure;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, left);
      this.#waiting.add(resolve);
      await promise;
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    }
    return this.#ready;
  }

  #failed(ready: Ready, error: unknown): void {
    if (ready !== this.#ready) return;
    if (isStreamMissing(error)) {
      this.#down(unavailable(error));
      void this.#makeAgain(ready.nats, ++this.#round);
      return;
    }
    if (refusalOf(error) || !(error instanceof Error) || error.name !== "TimeoutError") return;
    this.#failures++;
    if (this.#failures < FAILURES_UNTIL_OTHER_SERVER) return;
    this.#failures = 0;
    void ready.nats.reconnect().catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        const nats = await connect(this.#options());
        this.#nats = nats;
        if (this.#closed) return void (await nats.close());
        void this.#prepare(nats, ++this.#round);
        await this.#follow(nats);
      } catch (error) {
        this.#down(unavailable(error));
      }
      if (!this.#closed) await pause(this.#settings.backOffMs, undefined, { ref: false });
    }
  }

  /** Until the client gives the connection up, which it does for reasons of its own only. */
  async #follow(nats: NatsConnection): Promise<void> {
    for await (const status of nats.status()) {
      if (this.#closed) return;
      if (status.type === "disconnect") {
        this.#round++;
        this.#down(new BrokerError("BROKER_UNAVAILABLE", "The connection was lost."));
      } else if (status.type === "reconnect") void this.#prepare(nats, ++this.#round);
    }
    this.#round++;
    this.#down(unavailable(await nats.closed()));
  }

  async #makeAgain(nats: NatsConnection, round: number): Promise<void> {
    await pause(REMOVAL_MS, undefined, { ref: false });
    await this.#prepare(nats, round);
  }

  async #prepare(nats: NatsConnection, round: number): Promise<void> {
    while (round === this.#round && !this.#closed) {
      try {
        const ready = await readyOf(nats, this.#settings.tryMs);
        // To make streams takes a cluster longer than anything else.
        await this.#host.prepare(await readyOf(nats, PREPARE_TRIES * this.#settings.tryMs));
        if (round !== this.#round || this.#closed) return;
        this.#ready = ready;
        this.#failures = 0;
        this.#host.up(ready);
        this.#wake();
        return;
      } catch (error) {
        if (round !== this.#round || this.#closed) return;
        this.#down(unavailable(error));
        if (error instanceof Error && error.name === "TimeoutError") {
          // Its server may be cut off from the others.
          void nats.reconnect().catch(() => undefined);
          return;
        }
        await pause(2 * this.#settings.backOffMs, undefined, { ref: false });
      }
    }
  }

  #down(error: BrokerError): void {
    this.#failure = error;
    this.#ready = undefined;
    if (!this.#closed) this.#host.down(error);
  }

  #wake(): void {
    for (const resolve of [...this.#waiting]) resolve();
  }

  #options(): NodeConnectionOptions {
    const { servers, tls, user, password, token } = this.#target;
    const { heartbeatMs, backOffMs, tryMs } = this.#settings;
    return {
      servers: [...servers],
      ...(tls && { tls: {} }),
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      ...(token !== undefined && { token }),
      name: "holdfast",
      timeout: tryMs,
      pingInterval: heartbeatMs,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
      reconnectTimeWait: backOffMs,
      reconnectJitter: backOffMs,
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
    };
  }
}

async function readyOf(nats: NatsConnection, timeout: number): Promise<Ready> {
  const options = { timeout, checkAPI: false };
  return {
    nats,
    manager: await jetstreamManager(nats, options),
    stream: jetstream(nats, options),
    maxPayload: nats.info?.max_payload ?? 1024 * 1024,
  };
}
