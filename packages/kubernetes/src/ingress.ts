import type { IngressBackend, IngressPath, IngressRule, IngressSpec, IngressTls } from "@holdfast/routing";
import type { z } from "zod";
import { fields, host, list, optional, port, portOrName, string } from "./field.ts";

const backendV1 = fields({
  service: optional(
    fields({
      name: string,
      port: optional(fields({ name: optional(string), number: optional(port) })),
    }),
  ),
}).transform(({ service }): IngressBackend => {
  if (service === undefined) return {};
  const { name: portName, number } = service.port ?? {};
  return {
    service: {
      name: service.name,
      port: {
        ...(portName === undefined || portName === "" ? {} : { name: portName }),
        ...(number === undefined ? {} : { number }),
      },
    },
  };
});

const backendV1beta1 = fields({
  serviceName: optional(string),
  servicePort: optional(portOrName),
}).transform(({ serviceName, servicePort }): IngressBackend => {
  if (serviceName === undefined) return {};
  if (servicePort === undefined) return { service: { name: serviceName, port: {} } };
  return {
    service: {
      name: serviceName,
      port: typeof servicePort === "number" ? { number: servicePort } : { name: servicePort },
    },
  };
});

function rules(backend: z.ZodType<IngressBackend>) {
  const path = fields({ path: optional(string), pathType: optional(string), backend }).transform(
    ({ path, pathType, backend }): IngressPath => ({
      ...(path === undefined ? {} : { path }),
      ...(pathType === undefined ? {} : { pathType }),
      backend,
    }),
  );
  return list(
    fields({ host: optional(host), http: optional(fields({ paths: list(path) })) }).transform(
      ({ host, http }): IngressRule => ({
        ...(host === undefined || host === "" ? {} : { host }),
        ...(http === undefined ? {} : { paths: http.paths }),
      }),
    ),
  );
}

const tls = list(
  fields({ secretName: optional(string) }).transform(
    ({ secretName }): IngressTls => (secretName === undefined || secretName === "" ? {} : { secretName }),
  ),
);

function spec(
  ingressClassName: string | undefined,
  defaultBackend: IngressBackend | undefined,
  rules: IngressRule[],
  tls: IngressTls[],
): IngressSpec {
  return {
    ...(ingressClassName === undefined ? {} : { ingressClassName }),
    ...(defaultBackend === undefined ? {} : { defaultBackend }),
    rules,
    ...(tls.length === 0 ? {} : { tls }),
  };
}

/** The spec of a `networking.k8s.io/v1` Ingress. */
export const ingressSpecV1 = optional(
  fields({
    ingressClassName: optional(string),
    defaultBackend: optional(backendV1),
    rules: rules(backendV1),
    tls,
  }),
).transform((value) =>
  spec(value?.ingressClassName, value?.defaultBackend, value?.rules ?? [], value?.tls ?? []),
);

/** The spec of a `v1beta1` Ingress of either group, in the shape of v1. */
export const ingressSpecV1beta1 = optional(
  fields({
    ingressClassName: optional(string),
    backend: optional(backendV1beta1),
    rules: rules(backendV1beta1),
    tls,
  }),
).transform((value) => spec(value?.ingressClassName, value?.backend, value?.rules ?? [], value?.tls ?? []));

/** Where a field of the v1 shape is written in a v1beta1 manifest. */
export function pathInV1beta1(path: readonly (string | number)[]): (string | number)[] {
  const written: (string | number)[] = [];
  for (const [index, key] of path.entries()) {
    const parent = path[index - 1];
    if (key === "defaultBackend" && parent === "spec") written.push("backend");
    else if (key === "service" && (parent === "backend" || parent === "defaultBackend")) {
      const field = path[index + 1];
      if (field === "name") written.push("serviceName");
      else if (field === "port") written.push("servicePort");
      break;
    } else written.push(key);
  }
  return written;
}
