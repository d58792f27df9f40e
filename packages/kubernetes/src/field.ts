import { z } from "zod";

/**
 * The building blocks of the schemas. Each one's error says what was wanted, as words that complete "expected …".
 * Kubernetes takes null for "not set", and so do these; unknown fields pass, since manifests have many that are of
 * no concern here.
 */

const PORT_OR_NAME = "a port number from 1 to 65535, or a port's name";

export const string = z.string({ error: "a string" });
export const boolean = z.boolean({ error: "true or false" });
export const number = z.number({ error: "a number" });
export const name = dnsName("a name made of a-z, 0-9, dots and dashes");
export const port = wholeNumber(1, 65_535, "a port number from 1 to 65535");
/** A port's number or its name, such as a `targetPort`. A name has a letter, so a number in quotes is neither. */
export const portOrName = z.union([wholeNumber(1, 65_535, PORT_OR_NAME), portName()], {
  error: PORT_OR_NAME,
});

export function wholeNumber(min: number, max: number, wanted: string) {
  return z.int({ error: wanted }).min(min, { error: wanted }).max(max, { error: wanted });
}

/** Any whole number that JavaScript holds exactly; who uses it checks its range. */
export function anyWholeNumber() {
  return z.int({ error: "a whole number" });
}

/** Absent and null alike become undefined. */
export function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullish().transform((value): z.output<Schema> | undefined => value ?? undefined);
}

export function fields<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object(shape, { error: "a mapping" });
}

export function list<Schema extends z.ZodType>(schema: Schema) {
  return optional(z.array(schema, { error: "a list" })).transform((value): z.output<Schema>[] => value ?? []);
}

/** A string out of a few. */
export function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: `one of ${values.join(", ")}` });
}

/** Labels, annotations, selectors: strings by strings. Any key is safe, as an own property of the result. */
export const strings = z
  .unknown()
  .optional()
  .transform((value, context): Readonly<Record<string, string>> => {
    if (value === null || value === undefined) return {};
    if (typeof value !== "object" || Array.isArray(value)) {
      context.addIssue({ code: "custom", message: "a mapping of strings" });
      return z.NEVER;
    }
    const entries: [string, string][] = [];
    for (const [key, one] of Object.entries(value)) {
      if (typeof one === "string") entries.push([key, one]);
      else if (one === null) entries.push([key, ""]);
      else context.addIssue({ code: "custom", message: "a string", path: [key] });
    }
    return Object.fromEntries(entries);
  });

const LABELS = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/**
 * A host of an Ingress rule, empty for any. Kubernetes takes no port and no upper case, and a star only as the first
 * label.
 */
export const host = z
  .string({ error: "a string" })
  .max(253, { error: "a host name of at most 253 characters", abort: true })
  .regex(new RegExp(`^((\\*\\.)?${LABELS})?$`), { error: 'a lower-case host name, or "*." and one' });

function portName() {
  return z
    .string({ error: PORT_OR_NAME })
    .max(63, { error: PORT_OR_NAME })
    .regex(/[A-Za-z]/, { error: PORT_OR_NAME });
}

function dnsName(wanted: string) {
  return z
    .string({ error: wanted })
    .max(253, { error: `${wanted}, at most 253 of them`, abort: true })
    .regex(/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/, { error: wanted });
}
