import type { Random } from "@holdfast/broker/testing";
import type { Asked } from "./codec-relay.ts";
import { mutated } from "./mutation.ts";

const METHODS = ["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"];
const TARGETS = [
  "/",
  "/a/b?c=d",
  "/socket.io/?EIO=4&transport=polling",
  "/%20|{}",
  "*",
  "http://x/",
  "http://x?q",
  "//x",
];
const HOSTS = ["x", "X", "example.com", "example.com:8080", "127.0.0.1:80", "[::1]:80", "", "a_b", "x:80"];
const FIELDS = [
  "Accept: */*",
  "Cookie: GCLB=CKab; io=1",
  "X-Empty:",
  "x-a:b",
  "X-Blank: \t a b \t",
  "X-Obs: \xe4\xf6",
  "X-Forwarded-For: 1.1.1.1",
  "X-Forwarded-For: 2.2.2.2, 3.3.3.3",
  "X_Forwarded_For: 4.4.4.4",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: evil",
  "Forwarded: for=1.1.1.1",
  "Content_Length: 7",
  "Transfer_Encoding: chunked",
  "TE: trailers",
  "Trailer: X-T",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: keep-alive",
  "Expect: 100-continue",
  "Expect: other",
  "Upgrade: websocket",
  "Upgrade: h2c",
  "HTTP2-Settings: AAM",
  "Connection: keep-alive",
  "Connection: close",
  "Connection: x-a, close",
  "Connection: upgrade",
  "Connection: Upgrade, X-Empty",
  "Connection: host, content-length, transfer-encoding",
  "Via: 1.1 other",
  "Origin: http://x",
];
const SIZES = [
  "5",
  "05",
  "005",
  "5;a",
  "5;a=b",
  '5;a="b;c"',
  '5;a="\\"";d=e',
  "5 ",
  "5;",
  "+5",
  "0x5",
  "5;a b",
  "A",
];
const TRAILERS = [
  "X-T: 1\r\n",
  "X-T:\r\nX-U: 2\r\n",
  "Content-Length: 3\r\n",
  "X-Forwarded-For: 1\r\n",
  " X: y\r\n",
  "x\r\n",
];

/** What a client may send over one connection: a request or a few, whole, and mostly damaged somewhere. */
export function requestInput(random: Random): string {
  let text = random.below(20) === 0 ? "\r\n" : "";
  for (let left = 1 + random.below(3); left > 0; left--) {
    const version = random.below(8) === 0 ? "1.0" : "1.1";
    const target = random.below(3) === 0 ? random.pick(TARGETS) : "/";
    const lines = [
      `${random.pick(METHODS)} ${target} HTTP/${version}`,
      `Host: ${random.below(3) === 0 ? random.pick(HOSTS) : "x"}`,
    ];
    for (let count = random.below(5); count > 0; count--) lines.push(random.pick(FIELDS));
    if (random.below(300) === 0) for (let count = 0; count < 97; count++) lines.push("x-many: 1");
    text += message(lines, random, random.below(3) === 0 ? 2 : random.below(3));
  }
  return random.below(5) === 0 ? text : mutated(text, random);
}

const STATUSES = [
  "200 OK",
  "200 ",
  "200",
  "204 No Content",
  "304 Not Modified",
  "404 Not \xe4 Found",
  "500 X",
  "426 Upgrade Required",
];
const INTERIM = ["100 Continue", "103 Early Hints"];
const POD_FIELDS = [
  ...FIELDS.filter((line) => !/^(Expect|Origin|X-Forwarded|Forwarded)/.test(line)),
  "Set-Cookie: a=1",
  "Set-Cookie: b=2; Path=/",
  "Holdfast-Decision: pod=x",
  "Server: x",
];

export interface ResponseInput {
  readonly asked: readonly Asked[];
  readonly text: string;
  /** The pod closes its connection behind the text. */
  readonly ended: boolean;
}

/** What a pod may send over one connection, as answers to the requests. */
export function responseInput(random: Random): ResponseInput {
  const asked: Asked[] = [];
  let text = "";
  for (let left = 1 + random.below(3); left > 0; left--) {
    const upgrade = random.below(10) === 0;
    asked.push({
      method: upgrade ? "GET" : random.pick(METHODS),
      minor: random.below(6) === 0 && !upgrade ? 0 : 1,
      upgrade,
    });
    while (random.below(6) === 0)
      text += `HTTP/1.1 ${random.pick(INTERIM)}\r\n${random.below(2) === 0 ? "" : "Link: x\r\n"}\r\n`;
    if (upgrade && random.below(2) === 0) {
      text += "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nopaque";
      continue;
    }
    const version = random.below(8) === 0 ? "1.0" : "1.1";
    const lines = [`HTTP/${version} ${random.below(2) === 0 ? random.pick(STATUSES) : "200 OK"}`];
    for (let count = random.below(4); count > 0; count--) lines.push(random.pick(POD_FIELDS));
    text += message(lines, random, random.below(4));
  }
  return { asked, text: random.below(5) === 0 ? text : mutated(text, random), ended: random.below(2) === 0 };
}

/** Head and body; `framing` 1: a length, 2: chunks, 3: neither, and bytes all the same. */
function message(lines: string[], random: Random, framing: number): string {
  const place = 1 + random.below(lines.length);
  const data = "GET /in-body HTTP/1.1\r\nHost: x\r\n\r\n".slice(0, random.below(36));
  if (framing === 1) {
    lines.splice(place, 0, `Content-Length: ${random.below(12) === 0 ? random.pick(SIZES) : data.length}`);
    return `${lines.join("\r\n")}\r\n\r\n${data}`;
  }
  if (framing === 3) return `${lines.join("\r\n")}\r\n\r\n${data}`;
  if (framing === 0) return `${lines.join("\r\n")}\r\n\r\n`;
  lines.splice(
    place,
    0,
    `Transfer-Encoding: ${random.below(12) === 0 ? random.pick(["Chunked", "chunked, chunked", "gzip, chunked", "xchunked", ""]) : "chunked"}`,
  );
  let body = "";
  for (let left = random.below(3); left > 0; left--) {
    body +=
      random.below(3) === 0
        ? `${random.pick(SIZES)}\r\nhello\r\n`
        : `${data.length.toString(16)}\r\n${data}\r\n`;
    if (data.length === 0) break;
  }
  if (!/(^|\r\n)0\r\n\r\n$/.test(body))
    body += `0\r\n${random.below(3) === 0 ? random.pick(TRAILERS) : ""}\r\n`;
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}
