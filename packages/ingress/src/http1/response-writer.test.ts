import { expect, test } from "vitest";
import { responseHead } from "../../test/heads.ts";
import { FieldSet } from "./field-set.ts";
import { endsWithConnection, type Returning, writeResponseHead } from "./response-writer.ts";

const google: Returning = { face: "gce", minor: 1, keepAlive: true };

function headOf(lines: readonly string[], first = "HTTP/1.1 200 OK", method = "GET") {
  return responseHead(method, first, ...lines);
}

function written(
  lines: readonly string[],
  returning: Partial<Returning> = {},
  first?: string,
  method?: string,
): string[] {
  const text = writeResponseHead(headOf(lines, first, method), { ...google, ...returning });
  expect(text.endsWith("\r\n\r\n")).toBe(true);
  return text.slice(0, -4).split("\r\n");
}

test("hands on the pod's fields as they are, every Set-Cookie among them, and adds its own", () => {
  const lines = [
    "Set-Cookie: a=1",
    "x-b:2",
    "Set-Cookie: b=2",
    "Content-Length: 3",
    "Connection: keep-alive",
  ];
  expect(written(lines, { setCookie: "GCLB=x", decision: "pod=web-1" }, "HTTP/1.0 201 M\xe4de")).toEqual([
    "HTTP/1.1 201 M\xe4de",
    "Set-Cookie: a=1",
    "x-b:2",
    "Set-Cookie: b=2",
    "Via: 1.1 google",
    "Set-Cookie: GCLB=x",
    "Holdfast-Decision: pod=web-1",
    "Content-Length: 3",
  ]);
  expect(written([], { face: "holdfast" }, "HTTP/1.0 204 No Content")).toContain("Via: 1.0 holdfast");
});

test.each([
  [["Content-Length: 3"], 1, true, ["Content-Length: 3"]],
  [["Content-Length: 3"], 1, false, ["Content-Length: 3", "Connection: close"]],
  [["Content-Length: 3"], 0, true, ["Content-Length: 3", "Connection: keep-alive"]],
  [["Transfer-Encoding: chunked"], 1, true, ["Transfer-Encoding: chunked"]],
  [["Transfer-Encoding: chunked"], 0, true, ["Connection: close"]],
  [[], 1, true, ["Connection: close"]],
] as const)(
  "frames %j for a client of HTTP/1.%i that keeps its connection (%s) with %j",
  (lines, minor, keepAlive, framing) => {
    expect(written(lines, { minor, keepAlive }).slice(2)).toEqual(framing);
    expect(endsWithConnection(headOf(lines), minor)).toBe(
      keepAlive && framing.at(-1) === "Connection: close",
    );
  },
);

test("tells of a body that isn't sent how long it would be", () => {
  expect(written(["Content-Length: 3"], {}, "HTTP/1.1 200 OK", "HEAD").slice(2)).toEqual([
    "Content-Length: 3",
  ]);
  expect(written(["Content-Length: 3"], {}, "HTTP/1.1 304 Not Modified").slice(2)).toEqual([
    "Content-Length: 3",
  ]);
  expect(written(["Content-Length: 0"], {}, "HTTP/1.1 204 No Content").slice(2)).toEqual([]);
});

test("leaves an interim answer without cookie, decision and framing", () => {
  const all = written(
    ["Link: x"],
    { setCookie: "a", decision: "b", keepAlive: false },
    "HTTP/1.1 103 Early Hints",
  );
  expect(all).toEqual(["HTTP/1.1 103 Early Hints", "Link: x", "Via: 1.1 google"]);
});

test("says what the connection changes to, and what it should have changed to", () => {
  const lines = ["Connection: Upgrade", "Upgrade: websocket"];
  expect(
    written(lines, { setCookie: "a", keepAlive: false }, "HTTP/1.1 101 Switching Protocols").slice(1),
  ).toEqual(["Via: 1.1 google", "Set-Cookie: a", "Connection: Upgrade", "Upgrade: websocket"]);
  const required = ["Content-Length: 0", ...lines];
  expect(written(required, {}, "HTTP/1.1 426 Upgrade Required").slice(2)).toEqual([
    "Content-Length: 0",
    "Upgrade: websocket",
    "Connection: Upgrade",
  ]);
  expect(written(required, { keepAlive: false }, "HTTP/1.1 426 Upgrade Required")).toContain(
    "Connection: close, Upgrade",
  );
});

test("a backend service's own fields replace the pod's", () => {
  const set = FieldSet.of([{ name: "Server", value: "" }]);
  expect(written(["server: x", "Content-Length: 0"], { set })).toEqual([
    ...["HTTP/1.1 200 OK", "Via: 1.1 google", "Server: ", "Content-Length: 0"],
  ]);
});

test("lets no name from a manifest break out of its field", () => {
  const all = written(["Content-Length: 0"], { setCookie: "a\r\nb: c", decision: "d\ne\0" });
  expect(all).toContain("Set-Cookie: a  b: c");
  expect(all).toContain("Holdfast-Decision: d e ");
});
