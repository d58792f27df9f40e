import type { Abilities, Broker } from "@holdfast/broker";
import { type RedisBrokerOptions, readOptions } from "./options.ts";
import { RedisBroker } from "./redis-broker.ts";
import { readRedisUrl } from "./redis-url.ts";
import { SingleRouter } from "./single-router.ts";

const ALL: Abilities = {
  durable:
    "It depends on the server: appendonly and appendfsync say what a restart keeps, and a replica that takes over may lack the newest entries.",
  atomicBatch: true,
  oneSequence: true,
  retention: true,
  volatile: true,
  backwards: true,
  leases: true,
};

/** What the engine has on one server, and with Sentinel. */
export const REDIS_ABILITIES: Abilities = ALL;

/**
 * A broker on Redis from 6.2 on, or Valkey: one server (`redis://`), or whichever server Sentinel calls the primary
 * (`redis+sentinel://`). The server need not be there yet.
 *
 * Calls wait for the connection, and for a primary, for `requestMs`. A publish with an idempotency key is sent again when
 * its answer is lost; one without a key is rejected with `BROKER_UNAVAILABLE` then, and may have been accepted.
 *
 * Epochs stay over restarts and failovers that lose nothing. Where entries that this or another process has published or
 * delivered are found missing, the channel's epoch is made new, and its subscribers are told by a `reset`.
 *
 * @throws BrokerError `BROKER_URL_INVALID`, `OPTIONS_INVALID`, `RETENTION_INVALID`
 */
export function connectRedisBroker(url: string, options: RedisBrokerOptions = {}): Broker {
  const target = readRedisUrl(url);
  const settings = readOptions(options);
  const [address] = target.addresses;
  if (!address) throw new RangeError("A URL names one address at least.");
  const { credentials } = target;
  return new RedisBroker(
    ALL,
    settings,
    (host) => new SingleRouter(host, async () => address, credentials, settings),
  );
}
