import { expect, test } from "vitest";
import { requestHead } from "../../test/heads.ts";
import { FieldSet } from "./field-set.ts";
import { type Forwarding, writeRequestHead } from "./request-writer.ts";

const google: Forwarding = { face: "gce", client: "203.0.113.7", address: "127.0.0.1", proto: "http" };
const holdfast: Forwarding = { ...google, face: "holdfast" };

function written(lines: readonly string[], forwarding: Forwarding, first = "GET / HTTP/1.1"): string[] {
  const text = writeRequestHead(requestHead(first, "Host: example.com", ...lines), forwarding);
  expect(text.endsWith("\r\n\r\n")).toBe(true);
  return text.slice(0, -4).split("\r\n");
}

test("puts the host first, then the client's own fields, then who forwards it, as GKE does", () => {
  expect(written(["X-B: 1", "x-a: 2"], google, "GET /a?b HTTP/1.0")).toEqual([
    "GET /a?b HTTP/1.1",
    "Host: example.com",
    "X-B: 1",
    "x-a: 2",
    "X-Forwarded-For: 203.0.113.7,127.0.0.1",
    "X-Forwarded-Proto: http",
    "Via: 1.1 google",
  ]);
});

test("appends the client's and its own address to what the client claims, as GKE does", () => {
  const claims = [
    "X-Forwarded-For: 1.1.1.1",
    "x-forwarded-for: 2.2.2.2",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: a",
  ];
  expect(written(claims, { ...google, face: "gce-envoy" }).slice(2)).toEqual([
    "X-Forwarded-Host: a",
    "X-Forwarded-For: 1.1.1.1,2.2.2.2,203.0.113.7,127.0.0.1",
    "X-Forwarded-Proto: http",
    "Via: 1.1 google",
  ]);
  expect(written(["X-Forwarded-For:"], google)).toContain("X-Forwarded-For: 203.0.113.7,127.0.0.1");
});

test("adds a trace to what has none", () => {
  expect(written([], { ...google, trace: "a/1" })).toContain("X-Cloud-Trace-Context: a/1");
  const own = written(["X-Cloud-Trace-Context: b/2"], { ...google, trace: "a/1" });
  expect(own.filter((line) => line.startsWith("X-Cloud"))).toEqual(["X-Cloud-Trace-Context: b/2"]);
});

test("of class holdfast, believes nobody's word about whom a request is for", () => {
  const claims = [
    "X-Forwarded-For: 1.1.1.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 1",
    "X-Real-IP: 2.2.2.2",
  ];
  expect(written([...claims, "Forwarded: for=3.3.3.3"], { ...holdfast, proto: "https" }).slice(2)).toEqual([
    "X-Forwarded-For: 203.0.113.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: example.com",
    "Via: 1.1 holdfast",
  ]);
});

test("of class holdfast, hands on what a trusted proxy says, and completes it", () => {
  const claims = ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1"];
  expect(written(claims, { ...holdfast, trusted: true }, "GET / HTTP/1.0").slice(2)).toEqual([
    "X-Forwarded-Port: 1",
    "X-Forwarded-For: 1.1.1.1,203.0.113.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: example.com",
    "Via: 1.0 holdfast",
  ]);
  const hosts = written(["x-forwarded-host: a"], { ...holdfast, trusted: true });
  expect(hosts.filter((line) => /^x-forwarded-host/i.test(line))).toEqual(["x-forwarded-host: a"]);
});

test.each([
  ["POST", [], ["Content-Length: 0"]],
  ["GET", [], []],
  ["GET", ["Content-Length: 0"], ["Content-Length: 0"]],
  ["DELETE", ["Content-Length: 3"], ["Content-Length: 3"]],
  ["GET", ["Transfer-Encoding: CHUNKED"], ["Transfer-Encoding: chunked"]],
] as const)("frames %s with %j as the client did: %j", (method, lines, framing) => {
  expect(written(lines, google, `${method} / HTTP/1.1`).slice(5)).toEqual(framing);
});

test("asks the pod for what the client asked of the connection, and only where told to", () => {
  const lines = ["Connection: Upgrade", "Upgrade: websocket", "Expect: 100-continue"];
  expect(written(lines, google).slice(5)).toEqual([]);
  expect(written(lines, { ...google, upgrade: "websocket" }).slice(5)).toEqual([
    "Connection: Upgrade",
    "Upgrade: websocket",
  ]);
  expect(written(lines, { ...google, expectContinue: true, close: true }).slice(5)).toEqual([
    "Expect: 100-continue",
    "Connection: close",
  ]);
});

test("a backend service's own fields replace the client's, however those are spelt", () => {
  const set = FieldSet.of([
    { name: "X-Tenant", value: "a" },
    { name: "X-Forwarded-Host", value: "b" },
  ]);
  const lines = ["x-tenant: evil", "X_Tenant: evil", "X-Tenant-Id: 1", "X-Forwarded-Host: evil"];
  for (const forwarding of [google, holdfast]) {
    const all = written(lines, { ...forwarding, set });
    expect(all).not.toContainEqual(expect.stringContaining("evil"));
    expect(all).toEqual(expect.arrayContaining(["X-Tenant-Id: 1", "X-Tenant: a", "X-Forwarded-Host: b"]));
  }
});
