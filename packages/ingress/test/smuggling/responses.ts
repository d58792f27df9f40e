import type { ResponseCase } from "./case.ts";

const refused = [
  ["no HTTP", "hello\r\n\r\n"],
  ["HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"],
  ["a version in small letters", "http/1.1 200 OK\r\n\r\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
  ["a status below 100", "HTTP/1.1 099 X\r\n\r\n"],
  ["two blanks before the status", "HTTP/1.1  200 OK\r\n\r\n"],
  ["a tab behind the status", "HTTP/1.1 200\tOK\r\n\r\n"],
  ["a control byte in the reason", "HTTP/1.1 200 O\x1bK\r\n\r\n"],
  ["a bare CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n"],
  ["lines that end with LF alone", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
  ["an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
  [
    "both a length and chunks",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"],
  ["one length twice", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"],
  ["a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
  ["another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"],
  ["chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["a folded field", "HTTP/1.1 200 OK\r\nX: y\r\n Content-Length: 0\r\n\r\n"],
  ["a blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"],
  [
    "splitting: a bare CR in a value",
    "HTTP/1.1 200 OK\r\nLocation: /a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
  ],
  [
    "splitting: a bare LF in a value",
    "HTTP/1.1 200 OK\r\nLocation: /a\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
  ],
  ["a NUL in a value", "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n"],
  ["101 fields", `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(101)}\r\n`],
  [
    "an upgrade that nobody asked for",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
  ],
  [
    "a malformed answer behind an interim one",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX : y\r\n\r\n",
  ],
] as const;

export const responses: readonly ResponseCase[] = [
  ...refused.map(([name, sent]): ResponseCase => ({ name, sent })),
  {
    name: "a second answer behind the first, which nobody gets",
    sent: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled",
    becomes: /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s,
    lacks: /smuggled/,
  },
  {
    name: "a body where there is none: 204",
    sent: "HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\nsmuggled",
    becomes: /^HTTP\/1\.1 204 No Content\r\n/,
    lacks: /smuggled|content-length/i,
  },
  {
    name: "a body where there is none: 304",
    sent: "HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\nsmuggled",
    becomes: /^HTTP\/1\.1 304 Not Modified\r\n.*Content-Length: 8\r\n/s,
    lacks: /smuggled/,
  },
  {
    name: "fields of the connection, which stay there",
    sent: "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, x-secret\r\nX-Secret: 1\r\nContent-Length: 2\r\n\r\nok",
    becomes: /\r\n\r\nok$/,
    lacks: /keep-alive|secret/i,
  },
  {
    name: "a decision that is not the ingress'",
    sent: "HTTP/1.1 200 OK\r\nHoldfast-Decision: pod=evil\r\nContent-Length: 2\r\n\r\nok",
    becomes: /\r\n\r\nok$/,
    lacks: /evil/,
  },
  {
    name: "no reason, and no blank before it",
    sent: "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    becomes: /^HTTP\/1\.1 200 \r\n.*\r\n\r\nok$/s,
  },
  {
    name: "chunks, extensions and trailers as they should be",
    sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
    becomes:
      /\r\nTransfer-Encoding: chunked\r\n(?:Connection: close\r\n)?\r\n2;a=b\r\nok\r\n0\r\nX-T: 1\r\n\r\n$/,
  },
];
