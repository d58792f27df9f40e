import type { BackendConfigSpec } from "@holdfast/routing";
import { z } from "zod";
import { anyWholeNumber, boolean, fields, list, number, optional, string } from "./field.ts";

type Fields = z.core.$ZodLooseShape;
type Version = "v1" | "v1beta1";

const seconds = optional(anyWholeNumber());
const headers = section({ headers: list(string) });

/** A section all of whose fields may be left out. */
function section(shape: Fields) {
  return optional(fields(shape).transform(present));
}

/** The sections whose values matter, and what they may hold. */
const SECTIONS = {
  sessionAffinity: section({ affinityType: optional(string), affinityCookieTtlSec: seconds }),
  timeoutSec: seconds,
  connectionDraining: section({ drainingTimeoutSec: seconds }),
  healthCheck: section({
    checkIntervalSec: seconds,
    timeoutSec: seconds,
    healthyThreshold: seconds,
    unhealthyThreshold: seconds,
    type: optional(string),
    port: seconds,
    requestPath: optional(string),
  }),
  customRequestHeaders: headers,
  customResponseHeaders: headers,
  iap: section({ enabled: boolean }),
  cdn: section({ enabled: boolean }),
  securityPolicy: section({ name: string }),
  logging: section({ enable: optional(boolean), sampleRate: optional(number) }),
};

/** Fields that the v1 schema has, by section (ingress-gce `pkg/apis/backendconfig/v1/types.go`). */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  sessionAffinity: ["affinityType", "affinityCookieTtlSec"],
  timeoutSec: [],
  connectionDraining: ["drainingTimeoutSec"],
  healthCheck: [
    "checkIntervalSec",
    "timeoutSec",
    "healthyThreshold",
    "unhealthyThreshold",
    "type",
    "port",
    "requestPath",
  ],
  customRequestHeaders: ["headers"],
  customResponseHeaders: ["headers"],
  iap: ["enabled", "oauthclientCredentials"],
  cdn: [
    "enabled",
    "bypassCacheOnRequestHeaders",
    "cacheMode",
    "cachePolicy",
    "clientTtl",
    "defaultTtl",
    "maxTtl",
    "negativeCaching",
    "negativeCachingPolicy",
    "requestCoalescing",
    "serveWhileStale",
    "signedUrlCacheMaxAgeSec",
    "signedUrlKeys",
  ],
  securityPolicy: ["name"],
  logging: ["enable", "sampleRate"],
};

/** v1beta1 has less. */
const KNOWN_BETA: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(
    Object.entries(KNOWN).filter(([name]) => name !== "logging" && name !== "customResponseHeaders"),
  ),
  cdn: ["enabled", "cachePolicy"],
};

const MAX_UNKNOWN = 20;

/**
 * The spec of a BackendConfig. Types only: as with GKE's own schema, a wrong value is found where it is used. Fields
 * that the version doesn't have are left out and named, since Kubernetes drops them without a word.
 */
export function backendConfigSpec(version: Version) {
  const known = version === "v1" ? KNOWN : KNOWN_BETA;
  const sections = Object.fromEntries(
    Object.entries(SECTIONS).filter(([name]) => Object.hasOwn(known, name)),
  );
  const schema = fields(sections).transform(present);
  return z.unknown().transform((value, context): BackendConfigSpec => {
    const result = schema.safeParse(value ?? {});
    if (!result.success) {
      for (const { path, message } of result.error.issues) {
        context.addIssue({ code: "custom", path: [...path], message });
      }
      return z.NEVER;
    }
    const unknownFields = unknown(value ?? {}, known);
    return { ...result.data, ...(unknownFields.length === 0 ? {} : { unknownFields }) };
  });
}

function unknown(value: object, known: Readonly<Record<string, readonly string[]>>): string[] {
  const found: string[] = [];
  for (const [name, one] of Object.entries(value)) {
    if (!Object.hasOwn(known, name)) {
      found.push(name);
      continue;
    }
    if (typeof one !== "object" || one === null) continue;
    for (const field of Object.keys(one)) if (!known[name]?.includes(field)) found.push(`${name}.${field}`);
  }
  return found.slice(0, MAX_UNKNOWN);
}

/** The object without its undefined fields. */
function present<Value extends object>(
  value: Value,
): { [Key in keyof Value]?: Exclude<Value[Key], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof Value]?: Exclude<Value[Key], undefined> };
}
