export { formatCursor, parseCursor } from "./cursor.ts";
export type {
  Broker,
  BrokerStatus,
  ChannelEvent,
  Entry,
  History,
  HistoryQuery,
  Position,
  Published,
  PublishOptions,
  Retention,
  Subscription,
  Unrecoverable,
} from "./port.ts";
