import { z } from "zod";

/** What a process is: which of the variables it reads. */
export type Role = "server" | "api" | "broker";

interface Variable {
  readonly schema: z.ZodType;
  readonly roles: readonly Role[];
  /** As it would be written, where nothing is set; one for each role where they differ. */
  readonly default?: string | Partial<Record<Role, string>>;
  /** What it does, with units; for `--help` and docs/configuration.md. */
  readonly about: string;
}

const ALL = ["server", "api", "broker"] as const;
const CLIENTS = ["server", "api"] as const;

const whole = (least: number, greatest: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value >= least && value <= greatest, `must be from ${least} to ${greatest}`);

const path = z
  .string()
  .regex(/^\/[A-Za-z0-9._~/-]*$/, "must begin with / and hold letters, digits and . _ ~ / - only")
  .transform((value) => value.replace(/\/+$/, ""));

const origins = z
  .string()
  .transform((value) => value.split(",").map((origin) => origin.trim()))
  .refine(
    (list) => list.every((origin) => origin === "*" || /^https?:\/\/[^/\s]+$/.test(origin)),
    "must be * or origins such as https://example.com, separated by commas",
  );

/** The environment variables of Holdfast's servers: the one place that they are described in. */
export const VARIABLES = {
  PORT: {
    schema: whole(0, 65_535),
    roles: ALL,
    default: { server: "3000", api: "3000", broker: "7420" },
    about: "The port to listen on; 0 takes any free one.",
  },
  HOST: {
    schema: z.string(),
    roles: ALL,
    about: "The address to listen on. Without it `POD_IP`, without that all addresses.",
  },
  POD_IP: { schema: z.string(), roles: ALL, about: "The pod's own address, from the downward API." },
  POD_NAME: {
    schema: z.string(),
    roles: ALL,
    about: "The node's name. Without it `HOSTNAME`, without that the machine's name.",
  },
  HOSTNAME: { schema: z.string(), roles: ALL, about: "Set by Kubernetes to the pod's name." },
  HOLDFAST_BASE_PATH: {
    schema: path,
    roles: ["api"],
    default: "/",
    about: "What stands before `/v1` in every path, such as `/api`: GKE's Ingress rewrites none.",
  },
  HOLDFAST_BODY_LIMIT: {
    schema: whole(1, 1_048_576),
    roles: ["api"],
    default: "65536",
    about: "Bytes that a published body may have.",
  },
  HOLDFAST_BROKER: {
    schema: z.string(),
    roles: CLIENTS,
    about:
      "The broker: `holdfast://HOST:PORT`, `redis://[USER:PASSWORD@]HOST:PORT` (also `redis+sentinel://HOST:PORT,…/PRIMARY`, `redis+cluster://HOST:PORT,…`, and `rediss` for TLS), `nats://[USER:PASSWORD@]HOST:PORT,…?partitions=4&replicas=1&prefix=holdfast&storage=file` (`tls+nats` for TLS), `file:PATH` or `memory:`. Without it the process has one of its own, in memory, and is alone with it.",
  },
  HOLDFAST_BROKER_TOKEN: {
    schema: z
      .string()
      .regex(/^[A-Za-z0-9_-]{16,200}$/, "must be 16 to 200 characters of letters, digits, - and _"),
    roles: ALL,
    about:
      "The token that a broker asks for and its clients show: 16 to 200 letters, digits, `-` and `_`. A broker needs one.",
  },
  HOLDFAST_CORS_ORIGIN: {
    schema: origins,
    roles: CLIENTS,
    about:
      "Origins whose pages may call, separated by commas, or `*`. Without it only pages of the same origin.",
  },
  HOLDFAST_DATA: {
    schema: z.string(),
    roles: ["broker"],
    about: "The file that keeps the logs. Without it they are in memory and end with the process.",
  },
  HOLDFAST_LOG_LEVEL: {
    schema: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    roles: ALL,
    default: "info",
    about: "The least grave lines to log: trace, debug, info, warn, error, fatal or silent.",
  },
  HOLDFAST_MAX_QUEUED_BYTES: {
    schema: whole(16_384, 1_073_741_824),
    roles: ["server"],
    default: "1048576",
    about: "Bytes that may wait for one client that doesn't read; past them it is cut off, and can resume.",
  },
  HOLDFAST_MAX_SUBSCRIPTIONS: {
    schema: whole(1, 1_000_000),
    roles: ["server"],
    default: "128",
    about: "Channels that one connection may subscribe to.",
  },
  HOLDFAST_PATH: {
    schema: path.refine((value) => value !== "", "must not be / alone"),
    roles: ["server"],
    default: "/socket.io",
    about: "Socket.IO's path.",
  },
  HOLDFAST_PING_INTERVAL_MS: {
    schema: whole(100, 3_600_000),
    roles: ["server"],
    default: "25000",
    about: "Milliseconds between Socket.IO's pings.",
  },
  HOLDFAST_PING_TIMEOUT_MS: {
    schema: whole(100, 3_600_000),
    roles: ["server"],
    default: "20000",
    about: "Milliseconds without an answer to a ping after which a connection counts as lost.",
  },
  HOLDFAST_PROBE_INTERVAL_MS: {
    schema: whole(10, 3_600_000),
    roles: ["server"],
    default: "2000",
    about: "Milliseconds between the messages that a node publishes to itself; `/readyz` tells of the last.",
  },
  HOLDFAST_PROBE_TIMEOUT_MS: {
    schema: whole(10, 3_600_000),
    roles: ["server"],
    default: "5000",
    about: "Milliseconds in which such a message must come back for the node to be ready.",
  },
  HOLDFAST_STATIC: {
    schema: z.string(),
    roles: ["server"],
    about: "A folder, relative to the working directory, whose files are served at `/`.",
  },
} as const satisfies Record<string, Variable>;

export type VariableName = keyof typeof VARIABLES;

/** Those with a default are always there; the others where they are set. */
export type Values = {
  readonly [Name in VariableName]: (typeof VARIABLES)[Name] extends { readonly default: unknown }
    ? z.output<(typeof VARIABLES)[Name]["schema"]>
    : z.output<(typeof VARIABLES)[Name]["schema"]> | undefined;
};

/** What a role takes for a variable that is not set, as it would be written. */
export function defaultOf(name: VariableName, role: Role): string | undefined {
  const { default: text }: Variable = VARIABLES[name];
  return typeof text === "object" ? text[role] : text;
}

/** A role's variables for people, in the table's order. */
export function describeVariables(
  role: Role,
): { readonly name: VariableName; readonly default: string | undefined; readonly about: string }[] {
  const names = (Object.keys(VARIABLES) as VariableName[]).filter((name) =>
    (VARIABLES[name].roles as readonly Role[]).includes(role),
  );
  return names.map((name) => ({ name, default: defaultOf(name, role), about: VARIABLES[name].about }));
}
