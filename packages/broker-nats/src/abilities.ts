import type { Abilities } from "@holdfast/broker";
import type { Settings } from "./options.ts";
import type { StreamFacts } from "./streams.ts";

const IN_MEMORY = "Its streams are kept in the memory of the NATS servers.";
const BATCHES = "A batch is one write for each of its channels, and NATS accepts each by itself.";
const PARTITIONS =
  "Channels are spread over several streams, each with a sequence of its own; one partition has one.";

export function abilitiesOf({ storage, partitions }: Settings): Abilities {
  return {
    durable: storage === "file" ? true : IN_MEMORY,
    atomicBatch: BATCHES,
    oneSequence: partitions === 1 ? true : PARTITIONS,
    retention: true,
    volatile: true,
    backwards: true,
    leases: true,
  };
}

/** What the streams' settings mean for what was accepted. How often servers sync their files they don't tell. */
export function durabilityOf({ storage, replicas }: StreamFacts): string {
  if (storage === "memory")
    return replicas === 1
      ? "In one server's memory: a restart of it loses everything."
      : `In the memory of ${replicas} servers: what was accepted is lost when most of them restart together.`;
  const sync =
    "Servers sync their files every 2 minutes unless sync_interval says otherwise, so a power failure can lose that much";
  return replicas === 1
    ? `In one server's file: it outlives the server's process. ${sync}.`
    : `In the files of ${replicas} servers: it outlives any one of them. ${sync} where it takes most of them at once.`;
}
