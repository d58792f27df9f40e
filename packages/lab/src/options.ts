import type { KubernetesObject } from "@holdfast/routing";
import { LabError } from "./errors.ts";
import type { LabEvent } from "./events.ts";
import type { BuiltInImage } from "./images.ts";
import type { PodNetwork } from "./pod-addresses.ts";

export interface LabOptions {
  /** The cluster's objects, as they were read. */
  readonly objects: readonly KubernetesObject[];
  /** Images that need no command, by the last one or two segments of their path. Default: `serve_hostname`. */
  readonly builtIn?: Readonly<Record<string, BuiltInImage>>;
  /** Shell commands that run an image, by its name with or without a tag. They run in `cwd`. */
  readonly images?: Readonly<Record<string, string>>;
  /** Where relative paths start from: those of `images`, and the manifests' own names. Default: the current folder. */
  readonly cwd?: string;
  /** The address that the load balancers listen on. */
  readonly host?: string;
  /** The first load balancer's port; each further one has the next. 0: any free port for each. */
  readonly port?: number;
  /** Environment variables of every pod. They win over the manifests'. */
  readonly podEnv?: Readonly<Record<string, string>>;
  readonly podNetwork?: PodNetwork;
  /** Milliseconds until pods that are not ready are reported. 1 to 600,000. */
  readonly readyTimeoutMs?: number;
  /** Milliseconds that pods and open requests are given at the end, at most. 0 to 60,000. */
  readonly graceMs?: number;
  /** Aborting it ends a lab that is still starting: all is taken down and `startLab` rejects with `LAB_CLOSED`. */
  readonly signal?: AbortSignal;
  /** Called for everything that happens; must neither block nor throw. */
  readonly onEvent?: (event: LabEvent) => void;
}

/** Every option with its default. */
export const DEFAULTS: Required<Omit<LabOptions, "objects">> = {
  builtIn: {},
  images: {},
  cwd: ".",
  host: "127.0.0.1",
  port: 8080,
  podEnv: {},
  podNetwork: "auto",
  readyTimeoutMs: 30_000,
  graceMs: 2000,
  signal: new AbortController().signal,
  onEvent: () => {},
};

/** Puts in the defaults and checks what was given. @throws LabError `OPTION_INVALID` */
export function resolveOptions(given: LabOptions): Required<LabOptions> {
  for (const name of Object.keys(given)) {
    if (name !== "objects" && !Object.hasOwn(DEFAULTS, name)) throw invalid(name, "is not known");
  }
  const options: Required<LabOptions> = { ...DEFAULTS, ...given };
  if (!Array.isArray(options.objects)) throw invalid("objects", "must be a list of Kubernetes objects");
  inRange("port", options.port, 0, 65_535);
  inRange("readyTimeoutMs", options.readyTimeoutMs, 1, 600_000);
  inRange("graceMs", options.graceMs, 0, 60_000);
  if (typeof options.host !== "string" || options.host === "")
    throw invalid("host", "must be a host name or address");
  if (!["auto", "addresses", "ports"].includes(options.podNetwork)) {
    throw invalid("podNetwork", "must be auto, addresses or ports");
  }
  for (const [name, command] of Object.entries(options.images)) {
    if (name === "" || command.trim() === "") throw invalid("images", "must have a name and a command each");
  }
  return options;
}

function inRange(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw invalid(name, `must be a whole number from ${min} to ${max}`);
}

function invalid(name: string, what: string): LabError {
  return new LabError("OPTION_INVALID", `${name} ${what}`);
}
