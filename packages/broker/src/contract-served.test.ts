import { SERVED } from "../test/abilities.ts";
import { connectBroker } from "./connect.ts";
import { brokerContract } from "./contract.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { serveBroker } from "./serve.ts";

brokerContract({
  name: "The served broker",
  abilities: SERVED,
  limits: { maxEntryBytes: 1024 * 1024 },
  make: async () => {
    const broker = openEmbeddedBroker();
    const served = await serveBroker(broker);
    const [a, b] = [connectBroker(served.url), connectBroker(served.url)];
    const dispose = async () => {
      for (const part of [a, b, served, broker]) await part.close();
    };
    return { a, b, [Symbol.asyncDispose]: dispose };
  },
});
