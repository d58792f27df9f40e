import type { BrokerPair } from "@holdfast/broker/contract";
import { type NatsBrokerOptions, openNatsBroker } from "../src/mod.ts";

/** Two nodes of one NATS. */
export async function pairOf(
  urls: readonly [string, string],
  options: NatsBrokerOptions = {},
): Promise<BrokerPair> {
  const [a, b] = [openNatsBroker(urls[0], options), openNatsBroker(urls[1], options)];
  return { a, b, [Symbol.asyncDispose]: async () => void (await Promise.all([a.close(), b.close()])) };
}
