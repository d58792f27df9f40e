import { expect, test } from "vitest";
import { requestHead } from "../../test/heads.ts";
import { CHUNKED, type RequestHead } from "./request-head.ts";

/** The head of a GET with these lines behind `Host`. */
function read(lines: readonly string[] = [], first = "GET /a/b?c=d?e HTTP/1.1"): RequestHead {
  return requestHead(first, "Host: Example.com:8080", ...lines);
}

test("reads the request line and the host that rules are matched against", () => {
  expect(read()).toMatchObject({
    method: "GET",
    target: "/a/b?c=d?e",
    path: "/a/b",
    query: "c=d?e",
    minor: 1,
    host: "Example.com:8080",
    hostname: "example.com",
    body: 0,
    sized: false,
  });
});

test("keeps the order, case, blanks and duplicates of the fields that go through", () => {
  const lines = ["X-B:1", "x-a:  2\t", "Connection: close", "X-B: 3", "Cookie: a=1", "Via: 1.0 x"];
  expect(read(lines).fields).toBe("X-B:1\r\nx-a:  2\t\r\nX-B: 3\r\nCookie: a=1\r\nVia: 1.0 x\r\n");
});

test.each([
  ["no fields at all", "GET / HTTP/1.0", ""],
  ["nothing to keep", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close", ""],
  ["only the last line to keep", "GET / HTTP/1.1\r\nHost: x\r\nX: y", "X: y\r\n"],
  ["all but the last line to keep", "GET / HTTP/1.1\r\nX: y\r\nHost: x", "X: y\r\n"],
])("takes a head with %s", (_what, text, fields) => {
  expect(requestHead(text).fields).toBe(fields);
});

test.each([
  ["HTTP/1.1", [], true],
  ["HTTP/1.1", ["Connection: x, CLOSE"], false],
  ["HTTP/1.1", ["Connection: keep-alive", "Connection: close"], false],
  ["HTTP/1.0", [], false],
  ["HTTP/1.0", ["Connection: Keep-Alive"], true],
  ["HTTP/1.0", ["Connection: Keep-Alive, close"], false],
])("knows whether %s with %j goes on over the connection: %s", (version, lines, keepAlive) => {
  expect(read(lines, `GET / ${version}`).keepAlive).toBe(keepAlive);
});

test("knows how long the body is", () => {
  expect(read(["Content-Length: 12"])).toMatchObject({ body: 12, sized: true });
  expect(read(["Content-Length: 0"])).toMatchObject({ body: 0, sized: true });
  expect(read(["Content-Length: 9007199254740991"])).toMatchObject({ body: Number.MAX_SAFE_INTEGER });
  expect(read(["Transfer-Encoding: chunked"])).toMatchObject({ body: CHUNKED, sized: false });
});

test("takes an offer to upgrade only if Connection names it, in HTTP/1.1", () => {
  const offer = ["Connection: keep-alive, Upgrade", "Upgrade: websocket"];
  expect(read(offer).upgrade).toBe("websocket");
  expect(read([...offer, "Upgrade: h2c"]).upgrade).toBe("websocket, h2c");
  expect(read(["Upgrade: websocket"]).upgrade).toBeUndefined();
  expect(read(["Connection: Upgrade"]).upgrade).toBeUndefined();
  expect(read(["Connection: Upgrade", "Upgrade:"]).upgrade).toBeUndefined();
  expect(read(offer, "GET / HTTP/1.0").upgrade).toBeUndefined();
});

test("hands out what affinity and the decision need", () => {
  expect(read(["Cookie: a=1", "cookie: b=2"]).cookie).toBe("a=1; b=2");
  expect(read().cookie).toBeUndefined();
  expect(read(["Holdfast-Decision: please"])).toMatchObject({ decisionAsked: true, fields: "" });
  expect(read(["X-Cloud-Trace-Context: a/1"])).toMatchObject({
    traced: true,
    fields: "X-Cloud-Trace-Context: a/1\r\n",
  });
  expect(read(["Expect: 100-Continue"]).expectContinue).toBe(true);
  expect(read(["Expect: 100-continue"], "POST / HTTP/1.0").expectContinue).toBe(false);
});

test("knows a browser's preflight by its method and both of its fields", () => {
  const lines = ["Origin: https://x", "Access-Control-Request-Method: PUT"];
  expect(read(lines, "OPTIONS / HTTP/1.1").preflight).toBe(true);
  expect(read(lines).preflight).toBe(false);
  expect(read(lines.slice(1), "OPTIONS / HTTP/1.1").preflight).toBe(false);
  expect(read(lines.slice(0, 1), "OPTIONS / HTTP/1.1").preflight).toBe(false);
});

test("keeps apart what the client says about whom it forwards for", () => {
  const lines = [
    "X-Forwarded-For: 1.1.1.1",
    "X-Forwarded-Host: a",
    "x-forwarded-for: 2.2.2.2, 3.3.3.3",
    "X-Real-IP: b",
  ];
  expect(read([...lines, "Forwarded: for=c", "X-Forwarded-Proto: https", "X-Forwarded-: d"])).toMatchObject({
    forwardedFor: "1.1.1.1,2.2.2.2, 3.3.3.3",
    forwardedProto: "https",
    forwarded: "X-Forwarded-Host: a\r\nX-Real-IP: b\r\nForwarded: for=c\r\nX-Forwarded-: d\r\n",
    fields: "",
  });
});

test("lets a client of HTTP/1.0 have no host, and one of HTTP/1.1 an empty one", () => {
  expect(requestHead("GET / HTTP/1.0")).toMatchObject({ host: "", hostname: "" });
  expect(requestHead("GET / HTTP/1.1\r\nHost:")).toMatchObject({ host: "", hostname: "" });
  expect(() => requestHead("GET / HTTP/1.1")).toThrow("host");
});

test("refuses a head that was cut in the wrong place", () => {
  expect(() => requestHead("GET / HTTP/1.1", "Host: x", "")).toThrow("field");
  expect(() => requestHead("GET / HTTP/1.1", "Host: x", "X: y", "")).toThrow("field");
  expect(() => requestHead("GET / HTTP/1.1", "Host: x\r")).toThrow("field");
  expect(() => requestHead("")).toThrow("request-line");
  expect(() => requestHead("", "")).toThrow("request-line");
});
