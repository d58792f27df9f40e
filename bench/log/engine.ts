import { type Broker, openBroker } from "@holdfast/broker";
import { openNatsBroker } from "@holdfast/broker-nats";
import { connectRedisBroker } from "@holdfast/broker-redis";

/** Which engine a URL's scheme names; what is in none of these is for `openBroker`. */
const ENGINES: ReadonlyMap<string, (url: string) => Broker> = new Map<string, (url: string) => Broker>([
  ["redis", (url) => connectRedisBroker(url)],
  ["nats", (url) => openNatsBroker(url)],
]);

/** The broker that a URL names, on whichever engine. */
export function openEngine(url: string): Broker {
  return (ENGINES.get(url.slice(0, url.indexOf(":"))) ?? openBroker)(url);
}

/** An embedded broker is one for all of its process; another one has a node in each. */
export function isEmbedded(url: string): boolean {
  return /^(memory|file):/.test(url);
}
