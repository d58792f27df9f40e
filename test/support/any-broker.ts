import { type Broker, openBroker } from "@holdfast/broker";
import { openNatsBroker } from "@holdfast/broker-nats";
import { connectRedisBroker } from "@holdfast/broker-redis";

/** The broker that a URL names. */
export function anyBroker(url: string): Broker {
  if (url.startsWith("redis:")) return connectRedisBroker(url);
  return url.startsWith("nats:") ? openNatsBroker(url) : openBroker(url);
}
