import { SERVED } from "../test/abilities.ts";
import { FaultProxy } from "../test/fault-proxy.ts";
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
    const proxy = await FaultProxy.open(served.port);
    const [a, b] = [connectBroker(proxy.urlOf(served.url)), connectBroker(served.url)];
    const dispose = async () => {
      for (const part of [a, b, served, broker, proxy]) await part.close();
    };
    return { a, b, cut: () => proxy.cut(), [Symbol.asyncDispose]: dispose };
  },
});
