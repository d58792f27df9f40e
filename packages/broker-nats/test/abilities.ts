import type { Abilities } from "@holdfast/broker";

export const ABILITIES: Abilities = {
  durable: true,
  atomicBatch: "A batch is one write for each of its channels, and NATS accepts each by itself.",
  oneSequence:
    "Channels are spread over several streams, each with a sequence of its own; one partition has one.",
  retention: true,
  volatile: true,
  backwards: true,
  leases: true,
};
