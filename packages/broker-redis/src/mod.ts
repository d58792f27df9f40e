export { connectRedisBroker, REDIS_ABILITIES } from "./connect.ts";
export type { RedisBrokerOptions } from "./options.ts";
