import type { Container, DeploymentSpec, EnvVar } from "@holdfast/routing";
import { z } from "zod";
import { fields, list, name, optional, port, string, strings, wholeNumber } from "./field.ts";
import { readinessProbe } from "./probe.ts";

const keyRef = optional(fields({ name: string, key: string }));
const sourceRef = optional(fields({ name: string }));
const valueFrom = optional(
  fields({
    fieldRef: optional(fields({ fieldPath: string })),
    resourceFieldRef: optional(fields({ resource: string })),
    secretKeyRef: keyRef,
    configMapKeyRef: keyRef,
  }),
);

const envVar = fields({ name: string, value: optional(string), valueFrom }).transform(
  ({ name, value, valueFrom }, context): EnvVar => {
    if (valueFrom === undefined) return { type: "value", name, value: value ?? "" };
    const { fieldRef, resourceFieldRef, secretKeyRef, configMapKeyRef } = valueFrom;
    if (fieldRef) return { type: "field", name, fieldPath: fieldRef.fieldPath };
    if (secretKeyRef) return reference(name, "Secret", `${secretKeyRef.name}/${secretKeyRef.key}`);
    if (configMapKeyRef)
      return reference(name, "ConfigMap", `${configMapKeyRef.name}/${configMapKeyRef.key}`);
    if (resourceFieldRef) return reference(name, "resource", resourceFieldRef.resource);
    context.addIssue({
      code: "custom",
      message: "fieldRef, resourceFieldRef, secretKeyRef or configMapKeyRef",
      path: ["valueFrom"],
    });
    return z.NEVER;
  },
);

const envFrom = fields({
  prefix: optional(string),
  secretRef: sourceRef,
  configMapRef: sourceRef,
}).transform(({ prefix, secretRef, configMapRef }, context): EnvVar => {
  const everyKey = `${prefix ?? ""}*`;
  if (secretRef) return reference(everyKey, "Secret", secretRef.name);
  if (configMapRef) return reference(everyKey, "ConfigMap", configMapRef.name);
  context.addIssue({ code: "custom", message: "secretRef or configMapRef" });
  return z.NEVER;
});

function reference(name: string, kind: "Secret" | "ConfigMap" | "resource", from: string): EnvVar {
  return { type: "reference", name, kind, from };
}

const container = fields({
  name,
  image: string.min(1, { error: "an image" }),
  command: optional(list(string)),
  args: optional(list(string)),
  ports: list(
    fields({ name: optional(string), containerPort: port }).transform(({ name, containerPort }) =>
      name === undefined ? { containerPort } : { name, containerPort },
    ),
  ),
  env: list(envVar),
  envFrom: list(envFrom),
  readinessProbe: optional(readinessProbe),
}).transform(
  ({ command, args, env, envFrom, readinessProbe, ...rest }): Container => ({
    ...rest,
    ...(command === undefined ? {} : { command }),
    ...(args === undefined ? {} : { args }),
    // Kubernetes lets `env` win over `envFrom`, so it comes last.
    env: [...envFrom, ...env],
    ...(readinessProbe === undefined ? {} : { readinessProbe }),
  }),
);

const podSpec = fields({
  serviceAccountName: optional(string),
  terminationGracePeriodSeconds: optional(
    wholeNumber(0, Number.MAX_SAFE_INTEGER, "a number of seconds from 0"),
  ),
  containers: list(container),
}).refine(({ containers }) => containers.length > 0, {
  error: "at least one container",
  path: ["containers"],
});

const podMetadata = optional(fields({ labels: strings, annotations: strings })).transform(
  (value) => value ?? { labels: {}, annotations: {} },
);

/** The spec of an `apps/v1` Deployment, with Kubernetes' defaults. */
export const deploymentSpec = fields({
  replicas: optional(wholeNumber(0, 100_000, "a whole number from 0")).transform((value) => value ?? 1),
  selector: fields({ matchLabels: strings }),
  template: fields({ metadata: podMetadata, spec: podSpec }),
}).transform(({ replicas, selector, template }, context): DeploymentSpec => {
  const { labels, annotations } = template.metadata;
  for (const [key, value] of Object.entries(selector.matchLabels)) {
    if (Object.hasOwn(labels, key) && labels[key] === value) continue;
    context.addIssue({
      code: "custom",
      message: `${JSON.stringify(value)}, as the selector has it`,
      path: ["template", "metadata", "labels", key],
    });
  }
  const { serviceAccountName, terminationGracePeriodSeconds, containers } = template.spec;
  return {
    replicas,
    selector: selector.matchLabels,
    template: {
      labels,
      annotations,
      ...(serviceAccountName === undefined ? {} : { serviceAccountName }),
      terminationGracePeriodSeconds: terminationGracePeriodSeconds ?? 30,
      containers,
    },
  };
});
