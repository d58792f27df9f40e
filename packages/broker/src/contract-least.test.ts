import { LEAST } from "../test/abilities.ts";
import type { Abilities } from "./abilities.ts";
import { type BrokerPair, brokerContract } from "./contract.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { BrokerError } from "./errors.ts";
import type { Broker } from "./port.ts";

/** An engine that lacks whatever may be lacking, so that the suite is proven for such a one. */
async function make(): Promise<BrokerPair> {
  const broker = openEmbeddedBroker();
  const lacks = (name: keyof Abilities) => () =>
    Promise.reject(new BrokerError("ABILITY_MISSING", `${LEAST[name]}`));
  const none = lacks("leases");
  const poor: Broker = {
    abilities: LEAST,
    leases: { renew: none, put: none, remove: none, release: none, list: none, follow: none },
    publish: (channel, data, options) =>
      options?.retention ? lacks("retention")() : broker.publish(channel, data, options),
    publishAll: (publications) => broker.publishAll(publications),
    notify: lacks("volatile"),
    subscribe: (...args) => broker.subscribe(...args),
    history: (channel, query) => (query.backwards ? lacks("backwards")() : broker.history(channel, query)),
    watch: (listener) => broker.watch(listener),
    close: () => broker.close(),
  };
  return { a: poor, b: poor, [Symbol.asyncDispose]: () => broker.close() };
}

brokerContract({
  name: "An engine with the least abilities",
  abilities: LEAST,
  limits: { maxEntryBytes: 1024 * 1024 },
  make,
});
