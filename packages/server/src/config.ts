import { hostname } from "node:os";
import { type Environment, readEnvironment } from "./environment.ts";
import { ServerError } from "./errors.ts";
import type { Values } from "./variables.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** What every server is told. The defaults are in `variables.ts`. */
export interface CommonConfig {
  /** `PORT`. 0: any free one. */
  readonly port: number;
  /** `HOST`, or else `POD_IP`: the address to listen on. Default: all. */
  readonly host: string | undefined;
  /** `POD_NAME`, or else `HOSTNAME`, or else the machine's name. */
  readonly node: string;
  /** `HOLDFAST_LOG_LEVEL` */
  readonly logLevel: LogLevel;
}

/** What a server that uses a broker is told. */
export interface BrokerClientConfig {
  /** `HOLDFAST_BROKER`, with `HOLDFAST_BROKER_TOKEN` put in. Absent: a broker of the process's own, in memory. */
  readonly broker: string | undefined;
  /** `HOLDFAST_CORS_ORIGIN`: origins whose pages may call, or `*`. Default: none but the page's own. */
  readonly corsOrigins: readonly string[];
}

export interface SocketServerConfig extends CommonConfig, BrokerClientConfig {
  /** `HOLDFAST_PATH`: Socket.IO's path. */
  readonly path: string;
  /** `HOLDFAST_STATIC`: a folder that is served at `/`. */
  readonly staticFolder: string | undefined;
  /** `HOLDFAST_PING_INTERVAL_MS` */
  readonly pingIntervalMs: number;
  /** `HOLDFAST_PING_TIMEOUT_MS` */
  readonly pingTimeoutMs: number;
  /** `HOLDFAST_MAX_SUBSCRIPTIONS` of one connection. */
  readonly maxSubscriptions: number;
  /** `HOLDFAST_MAX_QUEUED_BYTES` for one connection. */
  readonly maxQueuedBytes: number;
  /** `HOLDFAST_PROBE_INTERVAL_MS` */
  readonly probeIntervalMs: number;
  /** `HOLDFAST_PROBE_TIMEOUT_MS` */
  readonly probeTimeoutMs: number;
}

export interface ApiConfig extends CommonConfig, BrokerClientConfig {
  /** `HOLDFAST_BASE_PATH`: what stands before `/v1`, without a slash at its end; empty where there is none. */
  readonly basePath: string;
  /** `HOLDFAST_BODY_LIMIT` in bytes. */
  readonly bodyLimit: number;
}

export interface BrokerServerConfig extends CommonConfig {
  /** `HOLDFAST_BROKER_TOKEN`: what clients must show. */
  readonly token: string;
  /** `HOLDFAST_DATA`: the file that keeps the logs. Absent: they are in memory and end with the process. */
  readonly dataFile: string | undefined;
}

/** @throws ServerError `CONFIG_INVALID` that names the variables */
export function readSocketServerConfig(environment: Environment): SocketServerConfig {
  const values = readEnvironment(environment, "server");
  return {
    ...common(values),
    ...brokerClient(values),
    path: values.HOLDFAST_PATH,
    staticFolder: values.HOLDFAST_STATIC,
    pingIntervalMs: values.HOLDFAST_PING_INTERVAL_MS,
    pingTimeoutMs: values.HOLDFAST_PING_TIMEOUT_MS,
    maxSubscriptions: values.HOLDFAST_MAX_SUBSCRIPTIONS,
    maxQueuedBytes: values.HOLDFAST_MAX_QUEUED_BYTES,
    probeIntervalMs: values.HOLDFAST_PROBE_INTERVAL_MS,
    probeTimeoutMs: values.HOLDFAST_PROBE_TIMEOUT_MS,
  };
}

/** @throws ServerError `CONFIG_INVALID` that names the variables */
export function readApiConfig(environment: Environment): ApiConfig {
  const values = readEnvironment(environment, "api");
  return {
    ...common(values),
    ...brokerClient(values),
    basePath: values.HOLDFAST_BASE_PATH,
    bodyLimit: values.HOLDFAST_BODY_LIMIT,
  };
}

/** @throws ServerError `CONFIG_INVALID` that names the variables */
export function readBrokerServerConfig(environment: Environment): BrokerServerConfig {
  const values = readEnvironment(environment, "broker");
  if (values.HOLDFAST_BROKER_TOKEN === undefined) {
    throw new ServerError(
      "CONFIG_INVALID",
      "HOLDFAST_BROKER_TOKEN is not set; give the broker and its clients the same 16 to 200 letters, digits, - and _",
    );
  }
  return { ...common(values), token: values.HOLDFAST_BROKER_TOKEN, dataFile: values.HOLDFAST_DATA };
}

function common(values: Values): CommonConfig {
  return {
    port: values.PORT,
    host: values.HOST ?? values.POD_IP,
    node: values.POD_NAME ?? values.HOSTNAME ?? hostname(),
    logLevel: values.HOLDFAST_LOG_LEVEL,
  };
}

function brokerClient(values: Values): BrokerClientConfig {
  return {
    broker: values.HOLDFAST_BROKER && withToken(values.HOLDFAST_BROKER, values.HOLDFAST_BROKER_TOKEN),
    corsOrigins: values.HOLDFAST_CORS_ORIGIN ?? [],
  };
}

/** A Secret can hold the token alone, and a manifest the address. */
function withToken(url: string, token: string | undefined): string {
  const scheme = "holdfast://";
  if (token === undefined || !url.startsWith(scheme) || url.includes("@")) return url;
  return `${scheme}${token}@${url.slice(scheme.length)}`;
}
