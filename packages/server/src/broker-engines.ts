import { type Broker, openBroker } from "@holdfast/broker";
import { connectRedisBroker } from "@holdfast/broker-redis";

/** Which engine a URL's scheme names; what is in none of these is for `openBroker`. */
const ENGINES: ReadonlyMap<string, (url: string) => Broker> = new Map(
  ["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"].map(
    (scheme) => [scheme, (url: string) => connectRedisBroker(url)],
  ),
);

/**
 * The broker that a URL names, on whichever engine.
 *
 * @throws BrokerError `BROKER_URL_INVALID`, `STORE_IN_USE`, `STORE_UNUSABLE`
 */
export function openAnyBroker(url: string): Broker {
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(url)?.[1] ?? "";
  return (ENGINES.get(scheme) ?? openBroker)(url);
}
