export type { NatsBrokerEvent } from "./events.ts";
export { openNatsBroker } from "./nats-broker.ts";
export type { NatsBrokerOptions } from "./options.ts";
