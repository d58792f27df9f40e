import { expect, test } from "vitest";
import { responseHead } from "../../test/heads.ts";
import { CHUNKED } from "./request-head.ts";
import { type ResponseHead, UNTIL_CLOSE } from "./response-head.ts";

function read(lines: readonly string[] = [], first = "HTTP/1.1 200 OK", method = "GET"): ResponseHead {
  return responseHead(method, first, ...lines);
}

test("reads the status line, whatever its reason says", () => {
  expect(read([], "HTTP/1.1 404 Not F\xf6und")).toMatchObject({
    status: 404,
    reason: "Not F\xf6und",
    minor: 1,
  });
  expect(read([], "HTTP/1.0 200 ")).toMatchObject({ status: 200, reason: "", minor: 0 });
  expect(read([], "HTTP/1.1 200")).toMatchObject({ status: 200, reason: "" });
});

test.each([
  ["a length", ["Content-Length: 3"], "HTTP/1.1 200 OK", "GET", 3, 3],
  ["chunks", ["Transfer-Encoding: chunked"], "HTTP/1.1 200 OK", "GET", CHUNKED, -1],
  ["neither", [], "HTTP/1.1 200 OK", "GET", UNTIL_CLOSE, -1],
  ["neither, to HEAD", [], "HTTP/1.1 200 OK", "HEAD", 0, -1],
  ["a length, to HEAD", ["Content-Length: 3"], "HTTP/1.1 200 OK", "HEAD", 0, 3],
  ["chunks, to HEAD", ["Transfer-Encoding: chunked"], "HTTP/1.1 200 OK", "HEAD", 0, -1],
  ["304 with a length", ["Content-Length: 3"], "HTTP/1.1 304 Not Modified", "GET", 0, 3],
  ["204", [], "HTTP/1.1 204 No Content", "GET", 0, -1],
  ["103", [], "HTTP/1.1 103 Early Hints", "GET", 0, -1],
])("knows the body of an answer with %s", (_what, lines, first, method, body, length) => {
  expect(read(lines, first, method)).toMatchObject({ body, length, keepAlive: body !== UNTIL_CLOSE });
});

test.each([
  [["Connection: close", "Content-Length: 0"], "HTTP/1.1 200 OK", false],
  [["Content-Length: 0"], "HTTP/1.0 200 OK", false],
  [["Connection: keep-alive", "Content-Length: 0"], "HTTP/1.0 200 OK", true],
  [["Connection: keep-alive"], "HTTP/1.1 200 OK", false],
  [["Content-Length: 3"], "HTTP/1.1 204 No Content", false],
  [["Content-Length: 0"], "HTTP/1.1 204 No Content", true],
  [["Transfer-Encoding: chunked"], "HTTP/1.1 204 No Content", false],
] as const)("knows that after %j in %s the connection is of use: %s", (lines, first, keepAlive) => {
  expect(read(lines, first).keepAlive).toBe(keepAlive);
});

test("keeps the pod's own fields raw, less those of its connection", () => {
  const lines = [
    "X-A:1",
    "Set-Cookie: a",
    "Keep-Alive: timeout=5",
    "Connection: x-b",
    "x-B: 2",
    "Set-Cookie: b",
  ];
  expect(read([...lines, "Content-Length: 0", "Via: 1.1 y"]).fields).toBe(
    "X-A:1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nVia: 1.1 y\r\n",
  );
});

test("takes an upgrade only if Connection names it", () => {
  const first = "HTTP/1.1 101 Switching Protocols";
  expect(read(["Connection: upgrade", "Upgrade: websocket"], first).upgrade).toBe("websocket");
  expect(read(["Upgrade: websocket"], first).upgrade).toBeUndefined();
  expect(read(["Connection: upgrade", "Upgrade:"], first).upgrade).toBeUndefined();
});
