import { hostname } from "node:os";
import type { Broker, Retention } from "@holdfast/broker";
import type { HubOptions } from "@holdfast/hub";
import { isNodeAddress } from "./cluster/node-record.ts";
import { BindingError } from "./errors.ts";
import type { BindingEvent, HoldfastEvent } from "./events.ts";
import type { FanOut } from "./fan-out/fan-out.ts";
import type { RoomPresenceOptions } from "./presence/room-presence.ts";

export interface BindingOptions {
  /** Subscriptions that one socket may have at a time. Default 128. */
  readonly maxSubscriptions?: number;
  /** Bytes that may wait to be read by one client, before it is disconnected. At least 16 KiB; default 1 MiB. */
  readonly maxQueuedBytes?: number;
  /**
   * Who writes to clients, in the place of a fan-out of the binding's own; its bound then holds. Its `wsEngine` is what
   * the Socket.IO server was made with. Without it packets take Socket.IO's ordinary path.
   */
  readonly fanOut?: FanOut;
  /** Told what a person should know; must not throw. */
  readonly onEvent?: (event: BindingEvent) => void;
}

export type BindingSettings = Required<Omit<BindingOptions, "fanOut">> & Pick<BindingOptions, "fanOut">;

const DEFAULTS: Required<Omit<BindingOptions, "fanOut">> = {
  maxSubscriptions: 128,
  maxQueuedBytes: 1_048_576,
  onEvent: () => {},
};

/** @throws BindingError `OPTION_INVALID` that names the option */
export function readBindingOptions(options: BindingOptions): BindingSettings {
  for (const key of Object.keys(options)) {
    if (key !== "fanOut" && !Object.hasOwn(DEFAULTS, key)) throw new BindingError("OPTION_INVALID", key);
  }
  const settings = { ...DEFAULTS, ...options };
  atLeast("maxSubscriptions", settings.maxSubscriptions, 1);
  atLeast("maxQueuedBytes", settings.maxQueuedBytes, 16_384);
  return settings;
}

function atLeast(name: string, value: number, low: number): void {
  if (Number.isSafeInteger(value) && value >= low) return;
  throw new BindingError("OPTION_INVALID", `${name} must be a whole number of at least ${low}`);
}

export interface HoldfastOptions {
  /** Stays its maker's to close. */
  readonly broker: Broker;
  /** This node's name: one of its own for each process that runs at the same time. Default the machine's (pod's) name. */
  readonly node?: string;
  /**
   * Where the other nodes reach this one's HTTP server, to hand over requests of its sessions: `http://10.0.0.3:3000`.
   * Default the address that it listens on; where that is every one, `POD_IP`, or the machine's first.
   */
  readonly address?: string;
  /** Requests and upgrades that may be on their way to other nodes at a time. Default 20,000. */
  readonly maxForwarding?: number;
  /**
   * How much is kept of the logs of rooms. Those of rooms that are plain channels keep what the broker keeps of any
   * channel. Default 10,000 entries, 5 minutes.
   */
  readonly retention?: Retention;
  /**
   * Milliseconds between two looks at whether a `socket.data` has changed, so that its session is saved. It is looked at
   * after each event of the client, too. At least 10; default 2,000.
   */
  readonly sessionSaveMs?: number;
  /**
   * Bytes that may wait to be read by one client, before it is disconnected; a single packet may be larger. At least
   * 16 KiB; default 1 MiB.
   */
  readonly maxQueuedBytes?: number;
  /**
   * Keep the request that a connection began with as Node.js made it. Default false: of a WebSocket's, only what
   * Socket.IO's documentation tells of `socket.request` is kept (headers, URL and query, method, connection), and what
   * middlewares have put on it; `rawHeaders`, `trailers` and the stream go, which saves some 2 KiB for each connection.
   */
  readonly keepRequests?: boolean;
  /** Who is shown in the rooms that they are in, to those who ask `holdfast.presence`. Default: nobody. */
  readonly presence?: RoomPresenceOptions;
  /** The hub's options, but its node's name and where it tells events. */
  readonly hub?: Omit<HubOptions, "node" | "onEvent">;
  /** Told what a person should know; must not throw. */
  readonly onEvent?: (event: HoldfastEvent) => void;
}

export type HoldfastSettings = Required<Omit<HoldfastOptions, "address">> & Pick<HoldfastOptions, "address">;

const HOLDFAST_DEFAULTS: Omit<HoldfastSettings, "broker" | "node" | "address"> = {
  maxForwarding: 20_000,
  retention: { maxEntries: 10_000, maxAgeMs: 300_000 },
  sessionSaveMs: 2_000,
  maxQueuedBytes: 1_048_576,
  keepRequests: false,
  presence: {},
  hub: {},
  onEvent: () => {},
};

/** @throws BindingError `OPTION_INVALID` that names the option */
export function readHoldfastOptions(options: HoldfastOptions): HoldfastSettings {
  for (const key of Object.keys(options)) {
    const isKnown = ["broker", "node", "address"].includes(key) || Object.hasOwn(HOLDFAST_DEFAULTS, key);
    if (!isKnown) throw new BindingError("OPTION_INVALID", key);
  }
  const settings = { ...HOLDFAST_DEFAULTS, node: hostname(), ...options };
  if (typeof settings.broker?.publish !== "function")
    throw new BindingError("OPTION_INVALID", "broker is none");
  if (typeof settings.node !== "string" || settings.node === "") {
    throw new BindingError("OPTION_INVALID", "node must be a name");
  }
  atLeast("sessionSaveMs", settings.sessionSaveMs, 10);
  atLeast("maxQueuedBytes", settings.maxQueuedBytes, 16_384);
  if (typeof settings.keepRequests !== "boolean") {
    throw new BindingError("OPTION_INVALID", "keepRequests must be true or false");
  }
  if (settings.address !== undefined && !isNodeAddress(settings.address))
    throw new BindingError("OPTION_INVALID", "address must be http://HOST:PORT");
  atLeast("maxForwarding", settings.maxForwarding, 0);
  atLeast("retention.maxEntries", settings.retention.maxEntries, 1);
  atLeast("retention.maxAgeMs", settings.retention.maxAgeMs, 1);
  return settings;
}
