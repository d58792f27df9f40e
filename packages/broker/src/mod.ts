export type { Abilities, Ability } from "./abilities.ts";
export type { ConnectBrokerOptions } from "./connect.ts";
export { connectBroker } from "./connect.ts";
export { formatCursor, parseCursor } from "./cursor.ts";
export type { EmbeddedBrokerOptions } from "./embedded.ts";
export { openEmbeddedBroker } from "./embedded.ts";
export type { BrokerErrorCode } from "./errors.ts";
export { BrokerError } from "./errors.ts";
export type { LeaseOptions, LeaseOwnerOptions } from "./lease-owner.ts";
export { LeaseOwner } from "./lease-owner.ts";
export type { Lease, LeaseEvent, LeasePut, LeaseTable, LeaseWrite } from "./lease-table.ts";
export { isChannelName } from "./limits.ts";
export { openBroker } from "./open.ts";
export type {
  Broker,
  BrokerStatus,
  ChannelEvent,
  Entry,
  History,
  HistoryQuery,
  Position,
  Publication,
  Published,
  PublishOptions,
  PublishOutcome,
  Retention,
  SubscribeOptions,
  Subscription,
  Unrecoverable,
} from "./port.ts";
export type { ConnectionEnd, ServeBrokerOptions, ServedBroker } from "./serve.ts";
export { serveBroker } from "./serve.ts";
