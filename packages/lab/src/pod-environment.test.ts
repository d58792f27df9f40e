import type { EnvVar } from "@holdfast/routing";
import { describe, expect, test } from "vitest";
import { deployment } from "../test/objects.ts";
import {
  environmentFindings,
  expandReferences,
  lentEnvironment,
  type PodIdentity,
  podEnvironment,
} from "./pod-environment.ts";

const pod: PodIdentity = {
  name: "web-abc-xyz",
  uid: "4f3c",
  ip: "127.9.9.9",
  labels: { app: "web", "pod-template-hash": "abc" },
  port: 3000,
  ports: new Map([[3000, 3000]]),
};

function environment(env: EnvVar[], podEnv: Record<string, string> = {}, identity = pod, lent = {}) {
  const object = deployment("web", { container: { env }, annotations: { note: "hi" } });
  const [container] = object.spec.template.containers;
  if (!container) throw new Error("no container");
  return {
    values: podEnvironment(object, container, identity, podEnv, lent),
    findings: environmentFindings(object, container, podEnv),
  };
}

const literal = (name: string, value: string): EnvVar => ({ type: "value", name, value });
const field = (name: string, fieldPath: string): EnvVar => ({ type: "field", name, fieldPath });

describe("podEnvironment", () => {
  test("says who and where the pod is", () => {
    expect(environment([]).values).toMatchObject({
      PORT: "3000",
      HOSTNAME: "web-abc-xyz",
      POD_NAME: "web-abc-xyz",
      POD_IP: "127.9.9.9",
      POD_NAMESPACE: "default",
      POD_LISTEN: "127.9.9.9",
    });
  });

  test("fills the downward API's fields", () => {
    const { values, findings } = environment([
      field("NAME", "metadata.name"),
      field("NS", "metadata.namespace"),
      field("UID", "metadata.uid"),
      field("APP", "metadata.labels['app']"),
      field("NOTE", "metadata.annotations['note']"),
      field("NONE", "metadata.labels['constructor']"),
      field("IP", "status.podIP"),
      field("HOST", "status.hostIP"),
      field("ACCOUNT", "spec.serviceAccountName"),
    ]);
    expect(values).toMatchObject({
      NAME: "web-abc-xyz",
      NS: "default",
      UID: "4f3c",
      APP: "web",
      NOTE: "hi",
      NONE: "",
      IP: "127.9.9.9",
      HOST: "127.0.0.1",
      ACCOUNT: "default",
    });
    expect(findings).toEqual([]);
  });

  test("replaces references to variables declared before, and leaves the others as they are", () => {
    const { values } = environment([
      literal("A", "one"),
      literal("B", "$(A)-$(C)-$$(A)-$A"),
      literal("C", "later"),
    ]);
    expect(values.B).toBe("one-$(C)-$(A)-$A");
  });

  test("lets the caller's variables win, also inside references, and says so in one line", () => {
    const { values, findings } = environment(
      [literal("HOLDFAST_BROKER", "holdfast://elsewhere"), literal("COPY", "$(HOLDFAST_BROKER)")],
      { HOLDFAST_BROKER: "holdfast://lab" },
    );
    expect(values).toMatchObject({ HOLDFAST_BROKER: "holdfast://lab", COPY: "holdfast://lab" });
    expect(findings).toMatchObject([{ code: "ENV_OVERRIDDEN", object: "Deployment default/web" }]);
  });

  test("warns of a variable from a Secret or ConfigMap, but not where the caller's wins", () => {
    const secret = (name: string): EnvVar => ({
      type: "reference",
      name,
      kind: "Secret",
      from: "keys/token",
    });
    const { values, findings } = environment([secret("API_KEY"), secret("TOKEN")], { TOKEN: "t" });
    expect(values).not.toHaveProperty("API_KEY");
    expect(findings).toMatchObject([
      {
        code: "ENV_UNAVAILABLE",
        severity: "warning",
        message: expect.stringContaining("API_KEY comes from Secret"),
      },
      { code: "ENV_OVERRIDDEN" },
    ]);
  });

  test("warns of a field that the lab does not know", () => {
    expect(environment([field("X", "status.qosClass")]).findings).toMatchObject([
      { code: "ENV_UNAVAILABLE" },
    ]);
  });

  test("keeps the manifest's PORT unless another port stands for the containerPort", () => {
    expect(environment([literal("PORT", "5000")]).values.PORT).toBe("5000");
    const moved = environment(
      [literal("PORT", "5000")],
      {},
      { ...pod, ports: new Map([[3000, 23_456]]) },
    ).values;
    expect(moved).toMatchObject({ PORT: "23456", POD_LISTEN: "127.9.9.9 3000:23456" });
  });

  test("keeps the container's own NODE_OPTIONS", () => {
    const options = environment([literal("NODE_OPTIONS", "--no-warnings")]).values.NODE_OPTIONS;
    expect(options).toMatch(/^--require ".*pod-listen\.cjs" --no-warnings$/);
  });
});

test("lends the pods everything but what is the lab's own", () => {
  const environment = {
    PATH: "/bin",
    HOME: "/home/me",
    HOLDFAST_API_KEYS: "secret",
    npm_config_cache: "x",
    NODE_OPTIONS: "--inspect",
    PORT: "1",
  };
  expect(lentEnvironment(environment)).toEqual({ PATH: "/bin", HOME: "/home/me" });
});

test("expands references in one pass, so that a value can't smuggle in another reference", () => {
  expect(
    expandReferences(
      "$(A)",
      new Map([
        ["A", "$(B)"],
        ["B", "x"],
      ]),
    ),
  ).toBe("$(B)");
});
