import type { EndpointSlice, SliceEndpoint, SlicePort } from "@holdfast/routing";
import { boolean, fields, list, oneOf, optional, port, string } from "./field.ts";
import { metadata } from "./metadata.ts";

const slicePort = fields({ name: optional(string), port: optional(port) }).transform(
  ({ name, port }): SlicePort => ({ name: name ?? "", ...(port === undefined ? {} : { port }) }),
);

const endpoint = fields({
  addresses: list(string),
  conditions: optional(fields({ ready: optional(boolean), terminating: optional(boolean) })),
  targetRef: optional(fields({ kind: optional(string), name: optional(string) })),
}).transform(({ addresses, conditions, targetRef }): SliceEndpoint => {
  const pod = targetRef?.kind === "Pod" ? targetRef.name : undefined;
  return {
    addresses,
    ready: conditions?.ready ?? true,
    terminating: conditions?.terminating ?? false,
    ...(pod === undefined ? {} : { pod }),
  };
});

/** A `discovery.k8s.io/v1` EndpointSlice, with Kubernetes' meaning of what it leaves out. */
export const endpointSlice = fields({
  metadata,
  addressType: oneOf(["IPv4", "IPv6", "FQDN"]),
  ports: list(slicePort),
  endpoints: list(endpoint),
}) satisfies { readonly _output: Omit<EndpointSlice, "kind" | "apiVersion" | "source"> };
