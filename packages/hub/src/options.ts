import { HubError } from "./errors.ts";
import type { HubEvent } from "./events.ts";

export interface HubOptions {
  /** This node's name; the probe's channel is named after it. */
  readonly node: string;
  /** Entries read from the log at a time by a resume. 1 to 1,000; default 128. */
  readonly pageSize?: number;
  /** Milliseconds that a channel is still followed after its last subscriber left. Default 5,000. */
  readonly lingerMs?: number;
  /** Reads of the log under way at a time; more wait their turn, so that a storm of resumes spares the broker. Default 32. */
  readonly maxReads?: number;
  /**
   * Events held back while a channel is behind the others, so that all are handed out in the order of `seq`. Past this
   * they go out as they are. Default 10,000.
   */
  readonly maxHeldEntries?: number;
  /** Bytes of them, likewise. Default 16 MiB. */
  readonly maxHeldBytes?: number;
  /** Milliseconds that the first of them is held, likewise. Default 10,000. */
  readonly maxHeldMs?: number;
  /** Milliseconds between two probes. Default 2,000. */
  readonly probeIntervalMs?: number;
  /** Milliseconds after which a probe that has not come back makes the node unready. Default 5,000. */
  readonly probeTimeoutMs?: number;
  /** Told what a person should know; must not throw. */
  readonly onEvent?: (event: HubEvent) => void;
}

export type HubSettings = Required<HubOptions>;

const DEFAULTS: Omit<HubSettings, "node"> = {
  pageSize: 128,
  lingerMs: 5_000,
  maxReads: 32,
  maxHeldEntries: 10_000,
  maxHeldBytes: 16 * 1024 * 1024,
  maxHeldMs: 10_000,
  probeIntervalMs: 2_000,
  probeTimeoutMs: 5_000,
  onEvent: () => {},
};

const RANGES = {
  pageSize: [1, 1_000],
  lingerMs: [0, 3_600_000],
  maxReads: [1, 10_000],
  maxHeldEntries: [1, 10_000_000],
  maxHeldBytes: [1, 2 ** 31],
  maxHeldMs: [1, 3_600_000],
  probeIntervalMs: [1, 3_600_000],
  probeTimeoutMs: [1, 3_600_000],
} as const;

/** @throws HubError `HUB_OPTION_INVALID` that names the option */
export function readHubOptions(options: HubOptions): HubSettings {
  for (const key of Object.keys(options)) {
    if (key !== "node" && !Object.hasOwn(DEFAULTS, key)) throw new HubError("HUB_OPTION_INVALID", key);
  }
  const settings = { ...DEFAULTS, ...options };
  if (settings.node === "") throw new HubError("HUB_OPTION_INVALID", "node is empty");
  for (const [key, [low, high]] of Object.entries(RANGES)) {
    const value = settings[key as keyof typeof RANGES];
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new HubError("HUB_OPTION_INVALID", `${key} must be a whole number from ${low} to ${high}`);
    }
  }
  return settings;
}
