import type { Broker } from "@holdfast/broker";
import type { BrokerPair } from "@holdfast/broker/contract";
import { type NatsBrokerOptions, openNatsBroker } from "../src/mod.ts";

/** Two nodes of one NATS, both connected: streams of a young cluster may take longer to make than a call waits. */
export async function pairOf(
  urls: readonly [string, string],
  options: NatsBrokerOptions = {},
): Promise<BrokerPair> {
  const [a, b] = [openNatsBroker(urls[0], options), openNatsBroker(urls[1], options)];
  await Promise.all([available(a), available(b)]);
  return { a, b, [Symbol.asyncDispose]: async () => void (await Promise.all([a.close(), b.close()])) };
}

function available(broker: Broker): Promise<void> {
  return new Promise((resolve) => {
    const end = broker.watch(({ type }) => {
      if (type !== "available") return;
      resolve();
      setImmediate(() => end());
    });
  });
}
