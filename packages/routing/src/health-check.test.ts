import { describe, expect, it } from "vitest";
import { backendConfig, deployment, ingress, service, to } from "../test/objects.ts";
import type { HealthCheck } from "./model.ts";
import type { BackendConfigHealthCheck, Container, ReadinessProbe, Service } from "./objects.ts";
import { translate } from "./translate.ts";

const CONFIG = "cloud.google.com/backend-config";
const NEG = { "cloud.google.com/neg": '{"ingress":true}' };
const HOLDFAST = { "kubernetes.io/ingress.class": "holdfast" };

function http(change: object = {}, times: Partial<ReadinessProbe> = {}): ReadinessProbe {
  const action = { type: "http", path: "/healthz", port: 3000, scheme: "HTTP", headers: [], ...change };
  return {
    action: action as ReadinessProbe["action"],
    periodSec: 7,
    timeoutSec: 3,
    successThreshold: 2,
    failureThreshold: 5,
    ...times,
  };
}

function checkOf(container: Partial<Container>, web: Service = service("web"), annotations = {}) {
  const { model } = translate([
    web,
    deployment("web", container),
    ingress({ defaultBackend: to("web") }, annotations),
  ]);
  return [...model.backendServices.values()][0]?.healthCheck;
}

const adopted: Partial<HealthCheck> = {
  protocol: "HTTP",
  path: "/healthz",
  port: "serving",
  intervalSec: 7,
  timeoutSec: 3,
  healthyThreshold: 1,
  unhealthyThreshold: 2,
  passing: "200",
  origin: "readinessProbe",
};
const byDefault = { path: "/", intervalSec: 15, timeoutSec: 15, unhealthyThreshold: 2, origin: "default" };

describe("the health check that GKE makes", () => {
  it("asks for / every 15 s without a probe, and every 60 s through nodes", () => {
    expect(checkOf({})).toMatchObject(byDefault);
    expect(checkOf({}, service("web", { type: "NodePort" }, {}))).toMatchObject({
      path: "/",
      intervalSec: 60,
      timeoutSec: 60,
      healthyThreshold: 1,
      unhealthyThreshold: 10,
    });
  });

  it("adopts an HTTP probe of the Service's own port, without its thresholds", () => {
    expect(checkOf({ readinessProbe: http() })).toEqual(adopted);
    expect(checkOf({ readinessProbe: http({ port: "main" }) })).toEqual(adopted);
    const byName = service("web", {
      ports: [{ name: "http", port: 80, targetPort: "main", protocol: "TCP" }],
    });
    expect(checkOf({ readinessProbe: http() }, byName)).toEqual(adopted);
  });

  it("adds a minute to the probe's period through nodes", () => {
    expect(checkOf({ readinessProbe: http() }, service("web", { type: "NodePort" }, {}))).toMatchObject({
      path: "/healthz",
      intervalSec: 67,
      timeoutSec: 3,
      unhealthyThreshold: 10,
    });
  });

  it("asks every five minutes at least, whatever the probe says", () => {
    const slow = http({}, { periodSec: 2 ** 31 - 1, timeoutSec: 2 ** 31 - 1 });
    expect(checkOf({ readinessProbe: slow })).toMatchObject({ intervalSec: 300, timeoutSec: 300 });
    expect(checkOf({ readinessProbe: slow }, service("web"), HOLDFAST)).toMatchObject({
      intervalSec: 300,
      timeoutSec: 300,
    });
  });

  it("asks with the probe's Host, and puts a slash before its path", () => {
    const headers = [{ name: "Host", value: "a.example.com" }];
    expect(checkOf({ readinessProbe: http({ headers, path: "ready" }) })).toEqual({
      ...adopted,
      path: "/ready",
      host: "a.example.com",
    });
  });

  it.each([
    ["a TCP probe", { readinessProbe: http({ type: "tcp" }) }],
    ["a probe that runs a program", { readinessProbe: http({ type: "other" }) }],
    ["a probe of another host", { readinessProbe: http({ host: "example.com" }) }],
    ["a probe with a header", { readinessProbe: http({ headers: [{ name: "X-A", value: "1" }] }) }],
    [
      "a probe with a header beside Host",
      {
        readinessProbe: http({
          headers: [
            { name: "Host", value: "a" },
            { name: "X-A", value: "1" },
          ],
        }),
      },
    ],
    ["a probe in another scheme", { readinessProbe: http({ scheme: "HTTPS" }) }],
    ["a probe of another port", { readinessProbe: http({ port: 3001 }) }],
    ["a probe of a name that is another port's", { readinessProbe: http({ port: "admin" }) }],
    ["a port that the container doesn't declare", { readinessProbe: http(), ports: [] }],
    ["a container that has another port", { readinessProbe: http(), ports: [{ containerPort: 3001 }] }],
  ] as [string, Partial<Container>][])("does not adopt %s", (_what, container) => {
    expect(checkOf(container)).toMatchObject(byDefault);
  });

  it.each(["HTTPS", "HTTP2"])("adopts an HTTPS probe where the Service's port speaks %s", (protocol) => {
    const web = service("web", {}, { ...NEG, "cloud.google.com/app-protocols": `{"http":"${protocol}"}` });
    expect(checkOf({ readinessProbe: http({ scheme: "HTTPS" }) }, web)).toEqual({ ...adopted, protocol });
    expect(checkOf({ readinessProbe: http() }, web)).toMatchObject({ ...byDefault, protocol });
  });

  it("takes the first probe that fits, of the oldest Deployment that the Service selects", () => {
    const objects = [
      service("web", { selector: { version: "1" } }),
      deployment("other", { readinessProbe: http({ port: 1 }) }),
      deployment("old", { readinessProbe: http({ path: "/old" }) }),
      deployment("new", { readinessProbe: http({ path: "/new" }) }),
      ingress({ defaultBackend: to("web") }),
    ];
    const { model } = translate(objects);
    expect(model.backendServices.get("default/web:80")?.healthCheck.path).toBe("/old");
  });
});

describe("a BackendConfig's health check", () => {
  const configured = (healthCheck: BackendConfigHealthCheck, annotations = {}, probe?: ReadinessProbe) => {
    const web = service("web", {}, { ...NEG, [CONFIG]: '{"default":"a"}' });
    const { model, findings } = translate([
      web,
      deployment("web", probe === undefined ? {} : { readinessProbe: probe }),
      backendConfig("a", { healthCheck }),
      ingress({ defaultBackend: to("web") }, annotations),
    ]);
    return {
      check: [...model.backendServices.values()][0]?.healthCheck,
      errors: findings.filter(({ severity }) => severity === "error"),
    };
  };

  it("counts before a probe, field by field", () => {
    expect(configured({ requestPath: "ready", port: 9000, healthyThreshold: 3 }, {}, http()).check).toEqual({
      ...adopted,
      path: "/ready",
      port: 9000,
      healthyThreshold: 3,
      origin: "BackendConfig",
    });
    expect(configured({ type: "HTTPS" }).check).toMatchObject({ protocol: "HTTPS", path: "/" });
  });

  it.each([
    [{ type: "TCP" }, 'Protocol "TCP" is not valid, must be one of ["HTTP","HTTPS","HTTP2"]'],
    [{ type: "http" }, 'Protocol "http" is not valid, must be one of ["HTTP","HTTPS","HTTP2"]'],
    [{ timeoutSec: 0 }, "healthCheck.timeoutSec is 0, should be between 1 and 300"],
    [{ unhealthyThreshold: 11 }, "healthCheck.unhealthyThreshold is 11, should be between 1 and 10"],
    [{ port: 70_000 }, "healthCheck.port is 70000, should be between 1 and 65535"],
    [{ requestPath: "/a\r\nX: b" }, "healthCheck.requestPath is not the path of a URL"],
    [{ timeoutSec: 20 }, "healthCheck.timeoutSec is 20, should be at most checkIntervalSec, which is 15"],
    [{ checkIntervalSec: 5 }, "healthCheck.timeoutSec is 15, should be at most checkIntervalSec, which is 5"],
  ])("is refused with %j", (healthCheck, message) => {
    const { errors, check } = configured(healthCheck);
    expect(errors).toMatchObject([{ object: "BackendConfig default/a", message }]);
    expect(check).toBeUndefined();
  });

  it("may be TCP in class holdfast, and asks over HTTP once it has a path", () => {
    expect(configured({ type: "TCP" }, HOLDFAST).check).toMatchObject({ protocol: "TCP" });
    expect(configured({ requestPath: "/ready" }, HOLDFAST).check).toMatchObject({
      protocol: "HTTP",
      path: "/ready",
      passing: "2xx-3xx",
    });
  });
});

describe("the health check of class holdfast", () => {
  const check = (container: Partial<Container>) => checkOf(container, service("web", {}, {}), HOLDFAST);

  it("is content with a connection by default", () => {
    expect(check({})).toMatchObject({ protocol: "TCP", port: "serving", origin: "default" });
    expect(check({ readinessProbe: http({ type: "other" }) })).toMatchObject({ origin: "default" });
    expect(check({ readinessProbe: http({ port: "elsewhere" }) })).toMatchObject({ origin: "default" });
  });

  it("adopts a probe of any port and scheme, with its times and thresholds", () => {
    const taken = {
      intervalSec: 7,
      timeoutSec: 3,
      healthyThreshold: 2,
      unhealthyThreshold: 5,
      passing: "2xx-3xx",
      origin: "readinessProbe",
    };
    const headers = [
      { name: "X-A", value: "1" },
      { name: "host", value: "a" },
    ];
    expect(check({ readinessProbe: http({ scheme: "HTTPS", port: 3001, headers }) })).toEqual({
      protocol: "HTTPS",
      path: "/healthz",
      port: 3001,
      host: "a",
      ...taken,
    });
    expect(check({ readinessProbe: http({ type: "tcp", port: "main" }) })).toEqual({
      protocol: "TCP",
      path: "/",
      port: "serving",
      ...taken,
    });
  });
});
