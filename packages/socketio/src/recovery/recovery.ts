import type { Retention } from "@holdfast/broker";
import type { Hub } from "@holdfast/hub";
import type { Server } from "socket.io";
import type { HoldfastCounters } from "../counters.ts";
import { HoldfastError } from "../errors.ts";
import type { HoldfastEvent } from "../events.ts";
import { optionsOf } from "../stock.ts";
import { NewestPages } from "./newest-pages.ts";
import type { SessionHost } from "./session-host.ts";
import { SessionStore } from "./session-store.ts";
import { Sessions } from "./sessions.ts";

export interface RecoveryOptions {
  readonly hub: Hub;
  readonly retention: Retention;
  /** Milliseconds between two looks at whether a `socket.data` has changed. */
  readonly sessionSaveMs: number;
  readonly counters: HoldfastCounters;
  readonly onEvent: (event: HoldfastEvent) => void;
}

/** A broker keeps a lease no longer than this after its owner's end. */
const MAX_DISCONNECTION_MS = 24 * 3_600_000;
/** For a node that was killed to be noticed by the broker. */
const NOTICED_MS = 15_000;
const PING_MS = { interval: 25_000, timeout: 20_000 } as const;

/**
 * Socket.IO's `connectionStateRecovery` on one node: for a server that has the option, and on a broker whose entries have
 * one order over all channels. Elsewhere every client starts anew, as Socket.IO has it with `recovered: false`.
 */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #pages: NewestPages;
  readonly #namespaces = new Set<Sessions>();
  #store: SessionStore | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isRefused = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#pages = new NewestPages((channel, query) => options.hub.read(channel, query));
  }

  /**
   * @returns the sessions of a namespace; undefined where the server has no recovery, or the broker can't
   * @throws HoldfastError `RECOVERY_RETENTION`, `RECOVERY_DURATION`
   */
  open(server: Server, host: SessionHost): Sessions | undefined {
    const durationMs = optionsOf(server).connectionStateRecovery?.maxDisconnectionDuration;
    if (durationMs === undefined) return undefined;
    const { hub, counters, onEvent, sessionSaveMs } = this.#options;
    const missing = this.#missing();
    if (missing !== undefined) {
      if (!this.#isRefused) onEvent({ type: "recovery-unavailable", reason: missing });
      this.#isRefused = true;
      return undefined;
    }
    this.#check(server, durationMs);
    this.#store ??= new SessionStore(hub.broker, {
      name: hub.node.replace(/[^A-Za-z0-9_.-]/g, "-").slice(0, 80),
      lingerMs: durationMs,
      onLost: (pid) => {
        for (const sessions of this.#namespaces) if (sessions.lost(pid)) return;
      },
      onError: (error) => {
        counters.sessionWritesFailed++;
        onEvent({ type: "session-write-failed", error });
      },
    });
    this.#timer ??= setInterval(() => {
      this.#pages.sweep();
      for (const namespace of this.#namespaces) namespace.sweep();
    }, sessionSaveMs).unref();
    const sessions = new Sessions(host, { hub, store: this.#store, pages: this.#pages, counters, onEvent });
    this.#namespaces.add(sessions);
    return sessions;
  }

  /** A namespace is gone. */
  forget(sessions: Sessions): void {
    this.#namespaces.delete(sessions);
  }

  /** Records live on for as long as clients may stay away. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#store?.close();
  }

  /** What the broker lacks, in a sentence. */
  #missing(): string | undefined {
    const { oneSequence, leases, backwards } = this.#options.hub.broker.abilities;
    return [oneSequence, leases, backwards].find((ability) => ability !== true) as string | undefined;
  }

  #check(server: Server, durationMs: number): void {
    if (durationMs > MAX_DISCONNECTION_MS) {
      throw new HoldfastError("RECOVERY_DURATION", `maxDisconnectionDuration is ${durationMs} ms`);
    }
    const { pingInterval = PING_MS.interval, pingTimeout = PING_MS.timeout } = optionsOf(server);
    const needed = durationMs + pingInterval + pingTimeout + NOTICED_MS;
    const { maxAgeMs } = this.#options.retention;
    if (maxAgeMs >= needed) return;
    throw new HoldfastError("RECOVERY_RETENTION", `maxAgeMs is ${maxAgeMs}, and must be ${needed} at least`);
  }
}
