export { startApi } from "./api.ts";
export type { ApiErrorCode } from "./api-errors.ts";
export { API_ERRORS, ApiError } from "./api-errors.ts";
export { startBrokerServer } from "./broker-server.ts";
export type {
  ApiConfig,
  BrokerClientConfig,
  BrokerServerConfig,
  CommonConfig,
  LogLevel,
  SocketServerConfig,
} from "./config.ts";
export { readApiConfig, readBrokerServerConfig, readSocketServerConfig } from "./config.ts";
export type { Environment } from "./environment.ts";
export type { ServerErrorCode } from "./errors.ts";
export { ServerError } from "./errors.ts";
export type { RunningServer } from "./running-server.ts";
export { startSocketServer } from "./socket-server.ts";
