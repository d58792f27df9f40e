import { brokerContract } from "@holdfast/broker/contract";
import { afterAll } from "vitest";
import { ABILITIES } from "../test/abilities.ts";
import { NatsCluster } from "../test/nats-cluster.ts";
import { pairOf } from "../test/pair.ts";

const cluster = await NatsCluster.start();
afterAll(() => cluster.close());

brokerContract({
  name: "NATS JetStream on three servers",
  abilities: ABILITIES,
  limits: { maxEntryBytes: 1_000_000, leaseTtlMs: 1000 },
  make: () => pairOf([cluster.urlOf(0), cluster.urlOf(1)], { replicas: 3 }),
});
