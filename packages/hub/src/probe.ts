import type { Broker, Retention, Subscription } from "@holdfast/broker";
import type { HubSettings } from "./options.ts";

/** What is kept of what a node says to itself. */
export const OWN_RETENTION: Retention = { maxEntries: 1, maxAgeMs: 60_000 };

/**
 * Whether this node gets what is published: it publishes to a channel of its own and waits for that to come back.
 * A node that could still talk to the broker and hear nothing would otherwise go on as though all were quiet.
 */
export class Probe {
  readonly #broker: Broker;
  readonly #settings: HubSettings;
  readonly channel: string;
  readonly #onError: (channel: string, error: unknown) => void;
  readonly #expected = new Map<string, () => void>();
  #subscription: Promise<Subscription> | undefined;
  #isSubscribed = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #count = 0;
  #ready = false;

  constructor(broker: Broker, settings: HubSettings, onError: (channel: string, error: unknown) => void) {
    this.#broker = broker;
    this.#settings = settings;
    this.#onError = onError;
    // A node's name may hold what a channel's may not.
    this.channel = `holdfast:node:${settings.node.replace(/[^A-Za-z0-9_.-]/g, "-").slice(0, 150)}`;
    void this.#round();
  }

  /** The last probe came back in time. */
  get ready(): boolean {
    return this.#ready;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#ready = false;
    clearTimeout(this.#timer);
    for (const arrived of this.#expected.values()) arrived();
    const left = this.#subscription?.then((subscription) => subscription.close()).catch(() => {});
    if (this.#isSubscribed) await left;
  }

  async #round(): Promise<void> {
    const started = performance.now();
    const { promise: timeout, reject } = Promise.withResolvers<never>();
    const { probeTimeoutMs, probeIntervalMs } = this.#settings;
    const timer = setTimeout(() => {
      reject(new Error(`a message to ${this.channel} did not come back within ${probeTimeoutMs} ms`));
    }, probeTimeoutMs);
    const token = `${process.pid}-${started}-${++this.#count}`;
    try {
      await Promise.race([this.#send(token), timeout]);
      this.#set(true);
    } catch (error) {
      if (!this.#closed) {
        this.#onError(this.channel, error);
        this.#set(false, error);
      }
    } finally {
      clearTimeout(timer);
      this.#expected.delete(token);
    }
    if (this.#closed) return;
    const spent = performance.now() - started;
    this.#timer = setTimeout(() => void this.#round(), Math.max(0, probeIntervalMs - spent));
  }

  async #send(token: string): Promise<void> {
    const arrived = new Promise<void>((resolve) => this.#expected.set(token, resolve));
    this.#subscription ??= this.#listen();
    await this.#subscription;
    await this.#broker.publish(this.channel, new TextEncoder().encode(token), {
      retention: OWN_RETENTION,
    });
    await arrived;
  }

  #listen(): Promise<Subscription> {
    const subscription = this.#broker.subscribe(this.channel, (event) => {
      if (event.type === "subscribed") this.#isSubscribed = true;
      if (event.type === "entry") this.#expected.get(new TextDecoder().decode(event.entry.data))?.();
    });
    subscription.catch(() => {
      this.#subscription = undefined;
    });
    return subscription;
  }

  #set(ready: boolean, error?: unknown): void {
    if (this.#closed || this.#ready === ready) return;
    this.#ready = ready;
    this.#settings.onEvent(ready ? { type: "ready" } : { type: "unready", error });
  }
}
