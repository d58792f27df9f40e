export type { ChannelBinding } from "./bind.ts";
export { bindChannels } from "./bind.ts";
export type { BindingCounters } from "./counters.ts";
export type { SubscriptionErrorCode } from "./errors.ts";
export { BindingError, SUBSCRIPTION_ERRORS } from "./errors.ts";
export type { BindingEvent } from "./events.ts";
export type { BindingOptions } from "./options.ts";
export type { SubscribeAnswer, UnsubscribeAnswer, WireError } from "./wire.ts";
export { EVENTS, NODE_HEADER, PROTOCOL_VERSION, RESERVED_PREFIX, UNREADABLE } from "./wire.ts";
