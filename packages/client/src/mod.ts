export type {
  ChannelEvents,
  Message,
  StateReason,
  Subscribed,
  SubscribeOptions,
} from "./channel.ts";
export { Channel } from "./channel.ts";
export type { ClientEvents } from "./client.ts";
export { connect, HoldfastClient } from "./client.ts";
export type { Position } from "./cursor.ts";
export { formatCursor } from "./cursor.ts";
export type { ClientErrorCode } from "./errors.ts";
export { ClientError } from "./errors.ts";
export type { ClientOptions } from "./options.ts";
export type { Published, PublishOptions } from "./publish.ts";
export type {
  ClientToServer,
  Reset,
  ServerToClient,
  SubscribeAnswer,
  SubscribeRequest,
  UnsubscribeAnswer,
  Welcome,
  WireError,
} from "./wire.ts";
