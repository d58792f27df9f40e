import { type Broker, openBroker } from "@holdfast/broker";
import { type NatsBrokerEvent, openNatsBroker } from "@holdfast/broker-nats";
import { connectRedisBroker, type RedisBrokerEvent } from "@holdfast/broker-redis";
import type { Log } from "./log.ts";

type Open = (url: string, log: Log) => Broker;

const openRedis: Open = (url, log) =>
  connectRedisBroker(url, { onEvent: (event) => tellOfRedis(event, log) });
const openNats: Open = (url, log) => openNatsBroker(url, { onEvent: (event) => tellOfNats(event, log) });

/** Which engine a URL's scheme names; what is in none of these is for `openBroker`. */
const ENGINES: ReadonlyMap<string, Open> = new Map<string, Open>([
  ...["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"].map(
    (scheme) => [scheme, openRedis] as const,
  ),
  ...["nats", "tls+nats"].map((scheme) => [scheme, openNats] as const),
]);

/**
 * The broker that a URL names, on whichever engine.
 *
 * @param log is told what an engine has to say of its servers
 * @throws BrokerError `BROKER_URL_INVALID`, `OPTIONS_INVALID`, `STORE_IN_USE`, `STORE_UNUSABLE`
 */
export function openAnyBroker(url: string, log: Log): Broker {
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(url)?.[1] ?? "";
  return (ENGINES.get(scheme) ?? openBroker)(url, log);
}

function tellOfRedis(event: RedisBrokerEvent, log: Log): void {
  switch (event.type) {
    case "connected": {
      const { type: _, durability, ...facts } = event;
      log.info(facts, `what Redis accepts is kept so: ${durability}`);
      return;
    }
    case "may-evict":
      log.warn(event, "Redis throws logs away when its memory is full: set maxmemory-policy noeviction");
  }
}

function tellOfNats(event: NatsBrokerEvent, log: Log): void {
  switch (event.type) {
    case "connected": {
      const { type: _, durability, ...facts } = event;
      log.info(facts, `what NATS accepts is kept so: ${durability}`);
      return;
    }
    case "many-subjects":
      log.warn(event, "a NATS stream holds more channels than NATS is at ease with");
      return;
    case "repaired":
      log.warn(event, "NATS had not told of an entry; it was found in the log");
  }
}
