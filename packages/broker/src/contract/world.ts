import type { Abilities } from "../abilities.ts";
import type { Broker, ChannelEvent, Entry, Position } from "../port.ts";

/** What the tests of one engine share: a fresh pair of nodes for each test, and what the engine says of itself. */
export interface World {
  readonly a: Broker;
  readonly b: Broker;
  /** A name that no other test uses. */
  readonly channel: string;
  readonly abilities: Abilities;
  readonly limits: ContractLimits;
}

export interface ContractLimits {
  /** The largest entry that the engine takes, in bytes. */
  readonly maxEntryBytes: number;
  /** A time to live of leases that the engine holds to, short enough to be waited for. Default 150 ms. */
  readonly leaseTtlMs?: number;
}

export const KEPT = { maxEntries: 10_000, maxAgeMs: 3_600_000 };
export const WAIT = { timeout: 10_000, interval: 5 };

export interface Follower {
  readonly events: ChannelEvent[];
  readonly listener: (event: ChannelEvent) => void;
  readonly entries: () => Entry[];
}

export function follow(): Follower {
  const events: ChannelEvent[] = [];
  return {
    events,
    listener: (event) => events.push(event),
    entries: () => events.flatMap((event) => (event.type === "entry" ? [event.entry] : [])),
  };
}

export async function pageOf(broker: Broker, channel: string, since?: Position, limit?: number) {
  const query = { ...(since && { since }), ...(limit !== undefined && { limit }) };
  const history = await broker.history(channel, query);
  if (history.type !== "page") throw new Error(`The position was refused: ${history.reason}.`);
  return history;
}

export function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

export function contents(entries: readonly Entry[]): string[] {
  return entries.map(({ data }) => new TextDecoder().decode(data));
}

export function mark({ offset, tag, seq, data }: Entry): string {
  return `${offset} ${tag} ${seq} ${new TextDecoder().decode(data)}`;
}
