import type { ManagerOptions, SocketOptions } from "socket.io-client";
import { ClientError } from "./errors.ts";

export interface ClientOptions {
  /** Handed to socket.io-client as it is. */
  readonly socket?: Partial<ManagerOptions & SocketOptions>;
  /** Base URL of the publish API, such as `https://chat.example.com/api`, or a path in a page. Needed to publish. */
  readonly api?: string;
  /** Milliseconds until a subscribe that was not answered is repeated. Default 10,000. */
  readonly subscribeTimeoutMs?: number;
  /** Milliseconds until a publish gives up, its retries included. Default 30,000. */
  readonly publishTimeoutMs?: number;
  /** Messages that wait while a channel's state is loaded; later ones are read from the log afterwards. Default 10,000. */
  readonly maxHeldMessages?: number;
}

export type ClientSettings = Required<Omit<ClientOptions, "api">> & { readonly api: string | undefined };

const DEFAULTS: ClientSettings = {
  socket: {},
  api: undefined,
  subscribeTimeoutMs: 10_000,
  publishTimeoutMs: 30_000,
  maxHeldMessages: 10_000,
};

/** @throws ClientError `OPTION_INVALID` that names the option */
export function readClientOptions(options: ClientOptions): ClientSettings {
  for (const key of Object.keys(options)) {
    if (!Object.hasOwn(DEFAULTS, key)) throw new ClientError("OPTION_INVALID", { detail: key });
  }
  const settings = { ...DEFAULTS, ...options };
  for (const key of ["subscribeTimeoutMs", "publishTimeoutMs", "maxHeldMessages"] as const) {
    if (!Number.isSafeInteger(settings[key]) || settings[key] < 1) {
      throw new ClientError("OPTION_INVALID", { detail: `${key} must be a whole number of at least 1` });
    }
  }
  return { ...settings, api: settings.api?.replace(/\/+$/, "") };
}
