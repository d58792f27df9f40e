import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { openAnyBroker } from "./broker-engines.ts";
import type { BrokerClientConfig } from "./config.ts";
import type { Log } from "./log.ts";

/**
 * The broker that a server is configured to use. A served one need not be there yet.
 *
 * @throws BrokerError as `openAnyBroker` does
 */
export function openConfiguredBroker(config: BrokerClientConfig, log: Log): Broker {
  if (config.broker === undefined) {
    log.warn("HOLDFAST_BROKER is not set: this process has a broker of its own, and is alone with it");
    return openEmbeddedBroker();
  }
  const broker = openAnyBroker(config.broker, log);
  // The first status only says that the connection is being made.
  let isFirst = true;
  broker.watch((status) => {
    if (status.type === "available") log.info("the broker is available");
    else if (isFirst) log.debug("connecting to the broker");
    else log.error({ err: status.error }, "the broker is not available");
    isFirst = false;
  });
  return broker;
}
