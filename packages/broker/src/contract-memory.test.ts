import { IN_MEMORY } from "../test/abilities.ts";
import { brokerContract } from "./contract.ts";
import { openEmbeddedBroker } from "./embedded.ts";

brokerContract({
  name: "The embedded broker in memory",
  abilities: IN_MEMORY,
  limits: { maxEntryBytes: 1024 * 1024 },
  make: async () => {
    const broker = openEmbeddedBroker();
    return { a: broker, b: broker, [Symbol.asyncDispose]: () => broker.close() };
  },
});
