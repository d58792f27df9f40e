import { get, post, type RequestCase } from "./case.ts";

const dropped = [
  ["a client's address with underscores", "X_Forwarded_For: 127.0.0.9", /127\.0\.0\.9|X_Forwarded/i],
  ["a client's address with one underscore", "X-Forwarded_For: 127.0.0.9", /127\.0\.0\.9/],
  ["a protocol with underscores", "x_forwarded_proto: https", /forwarded_proto/i],
  ["a prefix of the proxy fields", "X_Forwarded_Anything: 1", /anything/i],
  [
    "hop-by-hop fields",
    "Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nHTTP2-Settings: AAM",
    /keep-alive|trailers|proxy-connection|http2/i,
  ],
  ["an offer to upgrade without Connection", "Upgrade: websocket", /upgrade/i],
  [
    "an offer to upgrade to HTTP/2",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM",
    /upgrade|h2c|http2/i,
  ],
  ["a question that is the ingress' own", "Holdfast-Decision: 1", /decision/i],
  ["a field that Connection names", "Connection: X-Secret\r\nX-Secret: 1", /secret|connection/i],
  [
    "a field named by Connection behind it, in other letters",
    "x-SECRET: 1\r\nConnection: ,, x-secret ,keep-alive",
    /secret|connection/i,
  ],
] as const;

export const fields: readonly RequestCase[] = [
  ...dropped.map(
    ([name, line, lacks]): RequestCase => ({
      name: `${name}: dropped`,
      sent: get([line]),
      reach: ["GET / "],
      lacks,
    }),
  ),
  {
    name: "end-to-end fields that Connection names: kept",
    sent: get([
      "Connection: Authorization, Cookie, Via, X-Cloud-Trace-Context",
      "Authorization: a",
      "Cookie: b",
      "Via: 1.1 c",
    ]),
    reach: ["GET / "],
    has: /Authorization: a\r\nCookie: b\r\nVia: 1\.1 c\r\n/,
  },
  {
    name: "a line break that is only encoded: kept as it is",
    sent: get(["X: a%0d%0aContent-Length: 9"], "/%0d%0aX:y"),
    reach: ["GET /%0d%0aX:y "],
    has: /X: a%0d%0aContent-Length: 9\r\n/,
  },
  {
    name: "a name that only begins like one of the connection's: kept",
    sent: post(["Connections: a", "TEE: b", "Content-Lengths: c", "Content-Length: 0"]),
    reach: ["POST / "],
    has: /Connections: a\r\nTEE: b\r\nContent-Lengths: c\r\n/,
  },
];
