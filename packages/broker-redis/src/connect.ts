import type { Abilities, Broker } from "@holdfast/broker";
import { ClusterRouter } from "./cluster-router.ts";
import { type RedisBrokerOptions, readOptions } from "./options.ts";
import { partitionKey } from "./partitions.ts";
import { RedisBroker } from "./redis-broker.ts";
import { readRedisUrl } from "./redis-url.ts";
import { Sentinels } from "./sentinels.ts";
import { SingleRouter } from "./single-router.ts";

/** What the engine has on one server, and with Sentinel. */
export const REDIS_ABILITIES: Abilities = {
  durable:
    "It depends on the server: appendonly and appendfsync say what a restart keeps, and a replica that takes over may lack the newest entries.",
  atomicBatch: true,
  oneSequence: true,
  retention: true,
  volatile: true,
  backwards: true,
  leases: true,
};

/** What it has on a cluster, whose partitions are on several servers. */
export const REDIS_CLUSTER_ABILITIES: Abilities = {
  ...REDIS_ABILITIES,
  atomicBatch: "The channels of a batch may be on several servers; what goes to one of them is atomic.",
  oneSequence: "Each of a cluster's partitions counts for itself.",
};

/**
 * A broker on Redis from 6.2 on, or Valkey: one server (`redis://`), whichever server Sentinel calls the primary
 * (`redis+sentinel://`), or a cluster (`redis+cluster://`, from Redis 7 on). The servers need not be there yet.
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
  const { credentials } = target;
  if (target.type === "sentinel") {
    const sentinels = new Sentinels(target, settings);
    const locate = () => sentinels.locate();
    return new RedisBroker(
      REDIS_ABILITIES,
      settings,
      (host) => new SingleRouter(host, locate, credentials, settings, true),
    );
  }
  if (target.type === "cluster") {
    const keyOf = (partition: number) => partitionKey(settings.prefix, partition);
    return new RedisBroker(
      REDIS_CLUSTER_ABILITIES,
      settings,
      (host) => new ClusterRouter(host, target.addresses, keyOf, credentials, settings),
    );
  }
  const [address] = target.addresses;
  if (!address) throw new RangeError("A URL names one address at least.");
  return new RedisBroker(
    REDIS_ABILITIES,
    settings,
    (host) => new SingleRouter(host, async () => address, credentials, settings),
  );
}
