import { expect, test } from "vitest";
import { forwardedRequestHeaders, forwardedResponseHeaders } from "./forwarded-headers.ts";

const given = { method: "GET", host: "example.com", client: "203.0.113.7", address: "127.0.0.1" };
const added = ["X-Forwarded-For", "203.0.113.7,127.0.0.1", "X-Forwarded-Proto", "http", "Via", "1.1 google"];

test("keeps the order, case and duplicates of a request's fields", () => {
  const rawHeaders = ["host", "example.com", "X-B", "1", "x-a", "2", "X-B", "3"];
  expect(forwardedRequestHeaders({ ...given, rawHeaders })).toEqual([
    ...["Host", "example.com", "X-B", "1", "x-a", "2", "X-B", "3"],
    ...added,
  ]);
});

test("appends the client's and its own address to what the client claims", () => {
  const rawHeaders = [
    "X-Forwarded-For",
    "1.1.1.1",
    "x-forwarded-for",
    "2.2.2.2",
    "X-Forwarded-Proto",
    "https",
  ];
  expect(forwardedRequestHeaders({ ...given, rawHeaders })).toEqual([
    ...["Host", "example.com", "X-Forwarded-For", "1.1.1.1,2.2.2.2,203.0.113.7,127.0.0.1"],
    ...["X-Forwarded-Proto", "http", "Via", "1.1 google"],
  ]);
});

test("drops the fields of the connection and those that Connection names", () => {
  const rawHeaders = [
    ...[
      "Connection",
      "close, X-Secret",
      "X-Secret",
      "1",
      "Keep-Alive",
      "5",
      "TE",
      "trailers",
      "Trailer",
      "x",
    ],
    ...[
      "Proxy-Connection",
      "x",
      "Upgrade",
      "h2c",
      "HTTP2-Settings",
      "x",
      "Expect",
      "100-continue",
      "X-Kept",
      "1",
    ],
  ];
  expect(forwardedRequestHeaders({ ...given, rawHeaders })).toEqual([
    ...["Host", "example.com", "X-Kept", "1"],
    ...added,
  ]);
});

test("does not let Connection remove the host, the length or the client's address", () => {
  const rawHeaders = ["Connection", "host, content-length, x-forwarded-for", "Content-Length", "3"];
  expect(forwardedRequestHeaders({ ...given, method: "POST", rawHeaders })).toEqual([
    ...["Host", "example.com", "Content-Length", "3"],
    ...added,
  ]);
});

test("says how the body is framed, whatever the method", () => {
  const chunked = forwardedRequestHeaders({ ...given, rawHeaders: ["Transfer-Encoding", "chunked"] });
  expect(chunked.slice(-2)).toEqual(["Transfer-Encoding", "chunked"]);
  const empty = forwardedRequestHeaders({ ...given, method: "POST", rawHeaders: [] });
  expect(empty.slice(-2)).toEqual(["Content-Length", "0"]);
});

test("keeps every Set-Cookie of a response and adds its own", () => {
  const rawHeaders = [
    "Set-Cookie",
    "a=1",
    "Set-Cookie",
    "b=2",
    "Connection",
    "keep-alive",
    "Keep-Alive",
    "timeout=5",
  ];
  expect(forwardedResponseHeaders(rawHeaders, { setCookie: "GCLB=x" })).toEqual([
    ...["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Via", "1.1 google", "Set-Cookie", "GCLB=x"],
  ]);
});
