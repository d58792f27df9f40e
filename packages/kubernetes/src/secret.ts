import type { Secret } from "@holdfast/routing";
import { z } from "zod";
import { fields, optional, string } from "./field.ts";
import { metadata } from "./metadata.ts";

/** Standard base64, which may be broken into lines. */
const base64 = z
  .string({ error: "base64 text" })
  .transform((value) => value.replace(/\s+/g, ""))
  .refine((value) => /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0, {
    error: "base64 text",
  })
  .transform((value) => Buffer.from(value, "base64").toString("utf8"));

function pair<Schema extends z.ZodType>(schema: Schema) {
  return optional(fields({ "tls.crt": optional(schema), "tls.key": optional(schema) }));
}

/** A `v1` Secret. Only its certificate and key are looked at; `stringData` counts before `data`, as in Kubernetes. */
export const secret = fields({
  metadata,
  type: optional(string),
  data: pair(base64),
  stringData: pair(string),
}).transform(({ metadata, type, data, stringData }): Pick<Secret, "metadata" | "type" | "data"> => {
  const certificate = stringData?.["tls.crt"] ?? data?.["tls.crt"];
  const key = stringData?.["tls.key"] ?? data?.["tls.key"];
  return {
    // `kubectl apply` writes all of an object into an annotation.
    metadata: { ...metadata, annotations: {} },
    type: type ?? "Opaque",
    data: {
      ...(certificate === undefined ? {} : { "tls.crt": certificate }),
      ...(key === undefined ? {} : { "tls.key": key }),
    },
  };
});
