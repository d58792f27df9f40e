import type { Broker } from "@holdfast/broker";
import type { Following } from "./following.ts";
import { OWN_RETENTION } from "./probe.ts";
import type { Sequence } from "./sequence.ts";

export interface FenceContext {
  readonly broker: Broker;
  readonly sequence: Sequence;
  /** The node's own channel. */
  readonly channel: string;
  /** Has that channel's entries handed out among all others. */
  follow(): Following;
}

/**
 * Has an entry follow all that was published so far, on a channel of the node's own: once it was handed out, so was everything
 * before it, though nothing more may come on any other channel. Those who ask while one is on its way share it.
 */
export class Fence {
  readonly #context: FenceContext;
  #passing: Promise<void> | undefined;

  constructor(context: FenceContext) {
    this.#context = context;
  }

  /** Rejects as `Broker.subscribe` and `Broker.publish` do. */
  pass(): Promise<void> {
    this.#passing ??= this.#pass().finally(() => {
      this.#passing = undefined;
    });
    return this.#passing;
  }

  async #pass(): Promise<void> {
    const { broker, sequence, channel, follow } = this.#context;
    const following = follow();
    try {
      await following.ready;
      const { seq } = await broker.publish(channel, new Uint8Array(), { retention: OWN_RETENTION });
      await sequence.reached(seq);
    } finally {
      following.close();
    }
  }
}
