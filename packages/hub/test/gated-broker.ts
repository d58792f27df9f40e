import type {
  Abilities,
  Broker,
  BrokerStatus,
  ChannelEvent,
  History,
  HistoryQuery,
  LeaseTable,
  Publication,
  Published,
  PublishOptions,
  PublishOutcome,
  SubscribeOptions,
  Subscription,
} from "@holdfast/broker";

/** A real broker, seen over a link that can be made to lag, to lose a call, or to bring an event of the test's own. */
export class GatedBroker implements Broker {
  readonly #broker: Broker;
  readonly #listeners = new Map<string, (event: ChannelEvent) => void>();
  #held: (() => void)[] | undefined;
  /** Subscriptions made and not closed. */
  subscriptions = 0;
  /** Subscriptions ever made. */
  subscribed = 0;
  /** Awaited before every read of a log. */
  beforeHistory: (() => Promise<void>) | undefined;
  /** Awaited before every subscription. */
  beforeSubscribe: (() => Promise<void>) | undefined;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** From here on events wait; a subscription begins at once, where the log is then. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const event of held) event();
  }

  /** As though the engine had said so. */
  inject(channel: string, event: ChannelEvent): void {
    this.#listeners.get(channel)?.(event);
  }

  publish(channel: string, data: Uint8Array, options?: PublishOptions): Promise<Published> {
    return this.#broker.publish(channel, data, options);
  }

  get abilities(): Abilities {
    return this.#broker.abilities;
  }

  get leases(): LeaseTable {
    return this.#broker.leases;
  }

  publishAll(publications: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    return this.#broker.publishAll(publications);
  }

  notify(channel: string, data: Uint8Array): Promise<void> {
    return this.#broker.notify(channel, data);
  }

  async subscribe(
    channel: string,
    listener: (event: ChannelEvent) => void,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    await this.beforeSubscribe?.();
    this.#listeners.set(channel, listener);
    const subscription = await this.#broker.subscribe(
      channel,
      (event) => {
        if (this.#held && event.type !== "subscribed") this.#held.push(() => listener(event));
        else listener(event);
      },
      options,
    );
    this.subscriptions++;
    this.subscribed++;
    return {
      close: async () => {
        this.subscriptions--;
        await subscription.close();
      },
    };
  }

  async history(channel: string, query: HistoryQuery): Promise<History> {
    await this.beforeHistory?.();
    return this.#broker.history(channel, query);
  }

  watch(listener: (status: BrokerStatus) => void): () => void {
    return this.#broker.watch(listener);
  }

  close(): Promise<void> {
    return this.#broker.close();
  }
}
