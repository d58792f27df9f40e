import { get, type RequestCase, SMUGGLED } from "./case.ts";

const hosts = [
  ["no host", []],
  ["two hosts", ["x", "y"]],
  ["one host twice", ["x", "x"]],
  ["a user name", ["a@x"]],
  ["a list", ["x, y"]],
  ["a blank", ["x y"]],
  ["a tab", ["x\ty"]],
  ["a path", ["x/y"]],
  ["a query", ["x?y"]],
  ["a fragment", ["x#y"]],
  ["a scheme", ["http://x"]],
  ["percent-encoding", ["%78"]],
  ["a backslash", ["x\\y"]],
  ["a byte outside ASCII", ["\xe4"]],
  ["a sub-delimiter", ["x;y"]],
  ["a port that is none", ["x:y"]],
  ["a port with a sign", ["x:+80"]],
  ["a port above 65535", ["x:65536"]],
  ["a port of six digits", ["x:000080"]],
  ["two ports", ["x:80:80"]],
  ["a port without a host", [":80"]],
  ["an address without its end", ["[::1"]],
  ["an address that is none", ["[::g]"]],
  ["an address with a zone", ["[fe80::1%25eth0]"]],
  ["a name in brackets", ["[x]"]],
  ["bytes behind an address", ["[::1]x"]],
  ["an IPv6 address without brackets", ["::1"]],
] as const;

const bad = [
  ["no slash", "x"],
  ["a fragment", "/#x"],
  ["a NUL", "/\0"],
  ["DEL", "/\x7f"],
  ["a byte outside ASCII", "/\xe4"],
  ["a star with GET", "*"],
  ["a star with more behind it", "*/"],
  ["an authority", "x:80"],
  ["another scheme", "ftp://x/"],
  ["no authority", "http:///"],
  ["no slashes", "http:x"],
  ["a user name", "http://a@x/"],
  ["another host than Host", "http://y/"],
  ["another port than Host", "http://x:8080/"],
  ["a host with a fragment", "http://x#y/"],
  ["a backslash for a slash", "http:\\\\x/"],
] as const;

export const targets: readonly RequestCase[] = [
  ...hosts.map(
    ([name, values]): RequestCase => ({
      name: `Host: ${name}`,
      sent: `GET / HTTP/1.1\r\n${values.map((value) => `Host: ${value}\r\n`).join("")}\r\n${SMUGGLED}`,
      refused: 400,
    }),
  ),
  ...bad.map(
    ([name, target]): RequestCase => ({
      name: `target: ${name}`,
      sent: get([], target) + SMUGGLED,
      refused: 400,
    }),
  ),
  {
    name: "a Host behind other fields",
    sent: "GET / HTTP/1.1\r\nX: y\r\nhOsT:  x \r\n\r\n",
    reach: ["GET / "],
    has: /^GET \/ HTTP\/1\.1\r\nHost: x\r\n/,
  },
  {
    name: "a Host that Connection names",
    sent: get(["Connection: host"]),
    reach: ["GET / "],
    has: /^GET \/ HTTP\/1\.1\r\nHost: x\r\n/,
  },
  { name: "an address with a port", sent: "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", reach: ["GET / "] },
  {
    name: "a whole URL with the same host, of which the path is left",
    sent: get([], "HTTP://X:80/a?b") + get([], "http://x?c"),
    reach: ["GET /a?b ", "GET /?c "],
  },
  {
    name: "a whole URL in HTTP/1.0 without Host",
    sent: "GET http://x/a HTTP/1.0\r\n\r\n",
    reach: ["GET /a "],
    closes: true,
    has: /\r\nHost: x\r\n/,
  },
  {
    name: "a star, and a whole URL that means one (RFC 9112 §3.2.4)",
    sent: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\nOPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n",
    reach: ["OPTIONS * ", "OPTIONS * "],
  },
];
