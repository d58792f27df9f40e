import { z } from "zod";

/** The environment variables that Holdfast's servers read; each role takes those it names. */

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

export const VARIABLES = {
  PORT: whole(0, 65_535),
  HOST: z.string(),
  POD_IP: z.string(),
  POD_NAME: z.string(),
  HOSTNAME: z.string(),
  HOLDFAST_BASE_PATH: path,
  HOLDFAST_BODY_LIMIT: whole(1, 1_048_576),
  HOLDFAST_BROKER: z.string(),
  HOLDFAST_BROKER_TOKEN: z
    .string()
    .regex(/^[A-Za-z0-9_-]{16,200}$/, "must be 16 to 200 characters of letters, digits, - and _"),
  HOLDFAST_CORS_ORIGIN: z
    .string()
    .transform((value) => value.split(",").map((origin) => origin.trim()))
    .refine(
      (origins) => origins.every((origin) => origin === "*" || /^https?:\/\/[^/\s]+$/.test(origin)),
      "must be * or origins such as https://example.com, separated by commas",
    ),
  HOLDFAST_DATA: z.string(),
  HOLDFAST_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
  HOLDFAST_MAX_QUEUED_BYTES: whole(16_384, 1_073_741_824),
  HOLDFAST_MAX_SUBSCRIPTIONS: whole(1, 1_000_000),
  HOLDFAST_PATH: path.refine((value) => value !== "", "must not be / alone"),
  HOLDFAST_PING_INTERVAL_MS: whole(100, 3_600_000),
  HOLDFAST_PING_TIMEOUT_MS: whole(100, 3_600_000),
  HOLDFAST_PROBE_INTERVAL_MS: whole(10, 3_600_000),
  HOLDFAST_PROBE_TIMEOUT_MS: whole(10, 3_600_000),
  HOLDFAST_STATIC: z.string(),
} as const;

export type VariableName = keyof typeof VARIABLES;

export type Values = { readonly [Name in VariableName]?: z.output<(typeof VARIABLES)[Name]> };
