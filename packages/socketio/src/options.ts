import { BindingError } from "./errors.ts";
import type { BindingEvent } from "./events.ts";
import type { FanOut } from "./fan-out/fan-out.ts";

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
