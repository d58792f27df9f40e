// What an engine in a package of its own is made with, beside the door: the checks that every engine makes, and the parts
// that keep its promises to subscribers. docs/broker-engines.md says how they are put together.
export type { FeedHost, Listener } from "./feed.ts";
export { Feed, isSame } from "./feed.ts";
export { Fence } from "./fence.ts";
export {
  BATCH_BYTES,
  BATCH_PUBLICATIONS,
  checkBatch,
  checkChannel,
  checkHistory,
  checkLeasePlace,
  checkLeaseWrite,
  checkNotify,
  checkOwner,
  checkPublish,
  checkRetention,
  checkSubscribe,
  isCount,
  LEASE_VALUE_BYTES,
  PAGE_BYTES,
  PAGE_ENTRIES,
} from "./limits.ts";
export type { Bounds } from "./options.ts";
export { readNumbers } from "./options.ts";
export { randomText } from "./random-text.ts";
export type { ChannelHost } from "./remote-channel.ts";
export { RemoteChannel } from "./remote-channel.ts";
export { Status, warnOfListener } from "./status.ts";
export { Turns } from "./turns.ts";
