import { expect, vi } from "vitest";
import type { Broker, ChannelEvent, Entry, Position } from "../src/port.ts";

export const WAIT = { timeout: 15_000, interval: 5 };

export interface Recorded {
  readonly events: ChannelEvent[];
  readonly listener: (event: ChannelEvent) => void;
  texts(): string[];
  offsets(): number[];
  resets(): string[];
}

/** A listener that keeps what it was told, but for how far other channels are. */
export function record(): Recorded {
  const events: ChannelEvent[] = [];
  const entries = () => events.flatMap((event) => (event.type === "entry" ? [event.entry] : []));
  return {
    events,
    listener: (event) => {
      if (event.type !== "behind" && event.type !== "abreast") events.push(event);
    },
    texts: () => entries().map(textOf),
    offsets: () => entries().map(({ offset }) => offset),
    resets: () => events.flatMap((event) => (event.type === "reset" ? [event.reason] : [])),
  };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf({ data }: Entry): string {
  return new TextDecoder().decode(data);
}

/** The whole log of a channel, read page by page. */
export async function logOf(broker: Broker, channel: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  let since: Position | undefined;
  for (;;) {
    const history = await broker.history(channel, since ? { since } : {});
    if (history.type !== "page") throw new Error(`The log can't be read on: ${history.reason}.`);
    entries.push(...history.entries);
    const last = history.entries.at(-1);
    if (!last) return entries;
    since = { epoch: history.head.epoch, offset: last.offset, tag: last.tag };
  }
}

export async function available(broker: Broker): Promise<void> {
  const told: string[] = [];
  const unwatch = broker.watch(({ type }) => told.push(type));
  await vi.waitFor(() => expect(told.at(-1)).toBe("available"), WAIT);
  unwatch();
}
