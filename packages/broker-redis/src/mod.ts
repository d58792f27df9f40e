export { connectRedisBroker, REDIS_ABILITIES, REDIS_CLUSTER_ABILITIES } from "./connect.ts";
export type { RedisBrokerEvent } from "./events.ts";
export type { RedisBrokerOptions } from "./options.ts";
