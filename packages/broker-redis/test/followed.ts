import { type Broker, BrokerError, type ChannelEvent, type Position, type Published } from "@holdfast/broker";
import { expect } from "vitest";

/** A subscriber that takes down what it was told, but for how far other channels are. */
export class Followed {
  readonly events: ChannelEvent[] = [];

  static async on(broker: Broker, channel: string, since?: Position): Promise<Followed> {
    const followed = new Followed();
    const listener = (event: ChannelEvent) => {
      if (event.type !== "behind" && event.type !== "abreast") followed.events.push(event);
    };
    await broker.subscribe(channel, listener, since ? { since } : {});
    return followed;
  }

  get contents(): string[] {
    return this.events.flatMap((event) =>
      event.type === "entry" ? [new TextDecoder().decode(event.entry.data).trim()] : [],
    );
  }

  get resets(): Extract<ChannelEvent, { type: "reset" }>[] {
    return this.events.filter((event) => event.type === "reset");
  }
}

/** Publishes, and repeats with the same key what was not accepted. */
export async function publishSurely(
  broker: Broker,
  channel: string,
  content: string,
  size = 0,
): Promise<Published> {
  const data = new TextEncoder().encode(content.padEnd(size));
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      return await broker.publish(channel, data, { idempotencyKey: content });
    } catch (error) {
      expect(error).toMatchObject({ retryable: true });
      if (!(error instanceof BrokerError) || Date.now() > deadline) throw error;
    }
  }
}

export function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, n) => `${from + n}`);
}
