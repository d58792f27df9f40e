import { describe, expect, it } from "vitest";
import { backendConfig, ingress, service, to } from "../test/objects.ts";
import { HOLDFAST_ANNOTATIONS } from "./holdfast-annotations.ts";
import type { Affinity } from "./model.ts";
import type { BackendConfigSpec } from "./objects.ts";
import { translate } from "./translate.ts";

const CLASS = { "kubernetes.io/ingress.class": "holdfast" };
const ID = "default/web:80@holdfast";

function own(annotations: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).map(([key, value]) => [`holdfast.dev/${key}`, value]),
  );
}

function translated(annotations: Record<string, string>, config?: BackendConfigSpec, face = CLASS) {
  const named: Record<string, string> =
    config === undefined ? {} : { "cloud.google.com/backend-config": '{"default":"a"}' };
  const { model, findings } = translate([
    service("web", {}, { "cloud.google.com/neg": '{"ingress":true}', ...named }),
    backendConfig("a", config ?? {}),
    ingress({ defaultBackend: to("web") }, { ...face, ...own(annotations) }),
  ]);
  const balancer = model.loadBalancers[0];
  const affinity: Affinity | undefined =
    balancer?.affinities?.get(ID) ?? model.backendServices.get(ID)?.affinity;
  return { balancer, affinity, findings, codes: findings.map(({ code }) => code) };
}

const COOKIE = { name: "HOLDFAST", ttlSec: 0, path: "/", secure: "auto" };

describe("the affinity of class holdfast", () => {
  it.each([
    [{}, undefined, { type: "PINNED_COOKIE", cookie: COOKIE }],
    [{ affinity: "cookie" }, {}, { type: "PINNED_COOKIE", cookie: COOKIE }],
    [{ affinity: "client-ip" }, undefined, { type: "CLIENT_IP" }],
    [{ affinity: "none" }, undefined, { type: "NONE" }],
    [{ affinity: "client-ip" }, { sessionAffinity: { affinityType: "NONE" } }, { type: "NONE" }],
    [{}, { sessionAffinity: { affinityType: "CLIENT_IP" } }, { type: "CLIENT_IP" }],
    [
      { affinity: "none", "cookie-path": "/chat" },
      { sessionAffinity: { affinityType: "GENERATED_COOKIE", affinityCookieTtlSec: 50 } },
      { type: "PINNED_COOKIE", cookie: { ...COOKIE, ttlSec: 50, path: "/chat" } },
    ],
    [
      { "cookie-ttl": "0" },
      { sessionAffinity: { affinityType: "GENERATED_COOKIE", affinityCookieTtlSec: 50 } },
      { type: "PINNED_COOKIE", cookie: COOKIE },
    ],
    [{ affinity: "client-ip" }, { sessionAffinity: { affinityType: "" } }, { type: "CLIENT_IP" }],
  ] as [Record<string, string>, BackendConfigSpec | undefined, object][])(
    "with %j and a BackendConfig of %j is %j",
    (annotations, config, affinity) => {
      expect(translated(annotations, config).affinity).toEqual(affinity);
    },
  );

  it.each([
    ["0", 0],
    ["3600", 3_600],
    ["90m", 5_400],
    ["12h", 43_200],
    ["1h30m", 5_400],
    ["7d", 604_800],
    ["45s", 45],
    ["400d", 34_560_000],
  ])("takes a cookie-ttl of %s for %d seconds", (text, ttlSec) => {
    expect(translated({ "cookie-ttl": text }).affinity).toMatchObject({ cookie: { ttlSec } });
  });

  it("gives the cookie its attributes", () => {
    const { affinity, codes } = translated({
      "cookie-name": "__Secure-chat",
      "cookie-ttl": "1h",
      "cookie-path": "/socket.io",
      "cookie-domain": ".example.com",
      "cookie-secure": "true",
      "cookie-same-site": "None",
    });
    expect(codes).toEqual([]);
    expect(affinity).toEqual({
      type: "PINNED_COOKIE",
      cookie: {
        name: "__Secure-chat",
        ttlSec: 3_600,
        path: "/socket.io",
        domain: "example.com",
        secure: true,
        sameSite: "None",
      },
    });
  });

  it.each([
    { affinity: "" },
    { affinity: "Cookie" },
    { "cookie-name": "" },
    { "cookie-name": "a=b" },
    { "cookie-name": "a".repeat(65) },
    { "cookie-ttl": "" },
    { "cookie-ttl": "-1" },
    { "cookie-ttl": "1.5h" },
    { "cookie-ttl": "401d" },
    { "cookie-ttl": `${"1s".repeat(1_000)}` },
    { "cookie-path": "socket.io" },
    { "cookie-path": "/a; Domain=b" },
    { "cookie-path": "/a\r\nSet-Cookie: b" },
    { "cookie-domain": "" },
    { "cookie-domain": "a b" },
    { "cookie-domain": "a.example.com;" },
    { "cookie-secure": "True" },
    { "cookie-same-site": "" },
    { "cookie-same-site": "none" },
    { "cookie-same-site": "None" },
    { "cookie-same-site": "None", "cookie-secure": "false" },
    { "cookie-name": "__Secure-a" },
    { "cookie-name": "__host-a", "cookie-secure": "true", "cookie-path": "/a" },
    { "cookie-name": "__Host-a", "cookie-secure": "true", "cookie-domain": "example.com" },
    { "session-affinity": "1" },
  ] as Record<string, string>[])("refuses %j", (annotations) => {
    const { balancer, codes } = translated(annotations);
    expect(balancer).toBeUndefined();
    expect(codes).toEqual(["HF-A02"]);
  });

  it("says which annotations don't exist, or have no effect, and serves nevertheless", () => {
    expect(translated({ "cookie-samesite": "Lax", command: "x" })).toMatchObject({
      balancer: {},
      codes: ["HF-A01", "HF-A01"],
    });
    expect(translated({ affinity: "none", "cookie-ttl": "1h" })).toMatchObject({
      balancer: {},
      codes: ["HF-A03"],
    });
  });
});

describe("Engine.IO sessions", () => {
  it.each([
    ["holdfast", undefined, true],
    ["holdfast", "false", false],
    ["gce", undefined, false],
    ["gce", "true", true],
    ["gce-regional-external", "true", true],
  ])("are followed in class %s with %s: %s", (name, value, followed) => {
    const face = { "kubernetes.io/ingress.class": name };
    const annotations: Record<string, string> = value === undefined ? {} : { "session-affinity": value };
    expect(translated(annotations, undefined, face).balancer?.sessionAffinity).toBe(followed);
  });

  it("are all that our annotations change in GKE's classes", () => {
    const { balancer, codes } = translated({ affinity: "cookie", "cookie-ttl": "x" }, undefined, {
      "kubernetes.io/ingress.class": "gce",
    });
    expect(balancer?.affinities).toBeUndefined();
    expect(new Set(codes)).toEqual(new Set(["HF-A03"]));
  });
});

it("has every annotation in its table", () => {
  const names = Object.keys(HOLDFAST_ANNOTATIONS).map((name) => name.replace("holdfast.dev/", ""));
  const { codes } = translated(Object.fromEntries(names.map((name) => [name, "\u0000"])));
  expect(codes).toEqual(names.map(() => "HF-A02"));
});
