import type { ServiceSpec } from "@holdfast/routing";
import { fields, list, oneOf, optional, port, portOrName, string, strings } from "./field.ts";

const servicePort = fields({
  name: optional(string),
  port,
  targetPort: optional(portOrName),
  protocol: optional(oneOf(["TCP", "UDP", "SCTP"])),
}).transform(({ name, port, targetPort, protocol }) => ({
  ...(name === undefined ? {} : { name }),
  port,
  targetPort: targetPort ?? port,
  protocol: protocol ?? ("TCP" as const),
}));

/** The spec of a `v1` Service, with Kubernetes' defaults. */
export const serviceSpec = fields({
  type: optional(oneOf(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"])),
  selector: strings,
  ports: list(servicePort),
  sessionAffinity: optional(oneOf(["None", "ClientIP"])),
  ipFamilies: list(oneOf(["IPv4", "IPv6"])),
}).transform(
  ({ type, selector, ports, sessionAffinity, ipFamilies }): ServiceSpec => ({
    type: type ?? "ClusterIP",
    selector,
    ports,
    ...(sessionAffinity === undefined ? {} : { sessionAffinity }),
    ...(ipFamilies.length === 0 ? {} : { ipFamilies }),
  }),
);
