import { brokerContract } from "@holdfast/broker/contract";
import { afterAll } from "vitest";
import { ABILITIES } from "../test/abilities.ts";
import { NatsServer } from "../test/nats-server.ts";
import { pairOf } from "../test/pair.ts";

const server = await NatsServer.start();
afterAll(() => server.close());

brokerContract({
  name: "NATS JetStream on one server",
  abilities: ABILITIES,
  limits: { maxEntryBytes: 1_000_000, leaseTtlMs: 500 },
  make: () => pairOf([server.url, server.url]),
});
