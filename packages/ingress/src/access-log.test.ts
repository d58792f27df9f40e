import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventJson, formatEvent } from "./access-log.ts";
import type { IngressEvent } from "./events.ts";

const request = {
  type: "request",
  loadBalancer: "default/web",
  client: "127.0.0.1",
  method: "GET",
  host: "example.com",
  path: "/",
  backendService: "default/web:80",
  pod: "web-0",
  reason: "cookie",
  outcome: "answered",
  status: 200,
  tries: 1,
  ms: 1.26,
  upstreamMs: 0.8,
  bytesIn: 0,
  bytesOut: 3,
} as const;

test("says of a request where it went, why, and how it ended", () => {
  expect(formatEvent(request)).toBe(
    "default/web 127.0.0.1 GET example.com/ -> default/web:80 web-0 (cookie) 200 1.3ms",
  );
  expect(
    formatEvent({ ...request, reason: "failed-over", outcome: "timeout", status: 504, tries: 2 }),
  ).toContain("(failed-over) 504 timeout tries=2");
});

test("lets no client forge a line or fill the log", () => {
  const line = formatEvent({ ...request, path: `/\n\u001b[2J${"x".repeat(5000)}` });
  expect(line).toContain("/%0A%1B[2Jxxx");
  expect(line.length).toBeLessThan(500);
});

describe("as JSON", () => {
  const time = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6));

  test("an event is one line with its time", () => {
    expect(eventJson(request, time)).toBe(
      '{"time":"2026-01-02T03:04:05.006Z","type":"request","loadBalancer":"default/web","client":"127.0.0.1",' +
        '"method":"GET","host":"example.com","path":"/","backendService":"default/web:80","pod":"web-0",' +
        '"reason":"cookie","outcome":"answered","status":200,"tries":1,"ms":1.26,"upstreamMs":0.8,"bytesIn":0,"bytesOut":3}',
    );
  });

  test("a client can neither forge a line, nor steer a terminal, nor fill the log", () => {
    const path = `/\n\u001b[2J\u0085\u2028\ud800"}${"x".repeat(5000)}`;
    const line = eventJson({ ...request, path }, time);
    expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(line.length).toBeLessThan(1_500);
    expect(JSON.parse(line).path).toBe(`${path.slice(0, 1024)}...`);
  });

  /** One of each type, with all that it may hold; the compiler refuses what is missing. */
  const samples: { [Type in IngressEvent["type"]]: Required<Extract<IngressEvent, { type: Type }>> } = {
    request,
    "upgrade-closed": {
      type: "upgrade-closed",
      loadBalancer: "default/web",
      client: "127.0.0.1",
      backendService: "default/web:80",
      pod: "web-0",
      cause: "client",
      ms: 1,
      bytesIn: 10,
      bytesOut: 20,
    },
    "endpoint-down": {
      type: "endpoint-down",
      backendService: "default/web:80",
      pod: "web-0",
      endpoint: "127.0.0.2:80",
      cause: "ECONNREFUSED",
      ms: 2000,
    },
    "endpoint-up": {
      type: "endpoint-up",
      backendService: "default/web:80",
      pod: "web-0",
      endpoint: "127.0.0.2:80",
      cause: "expired",
    },
    "endpoint-healthy": {
      type: "endpoint-healthy",
      backendService: "default/web:80",
      pod: "web-0",
      endpoint: "127.0.0.2:80",
    },
    "endpoint-unhealthy": {
      type: "endpoint-unhealthy",
      backendService: "default/web:80",
      pod: "web-0",
      endpoint: "127.0.0.2:80",
      cause: "GET / answered 404, want 200",
    },
    refused: {
      type: "refused",
      loadBalancer: "default/web",
      client: "127.0.0.1",
      cause: "tls",
      status: 0,
      detail: "ERR_SSL_NO_APPLICATION_PROTOCOL",
    },
  };

  test.each(Object.values(samples))("docs/access-log.md has the fields of $type, and no other", (sample) => {
    const page = readFileSync(join(import.meta.dirname, "../../../docs/access-log.md"), "utf8");
    const [, section = ""] = page.split(`## \`${sample.type}\`\n`);
    const table = section.split("\n\n").find((part) => part.startsWith("| field |")) ?? "";
    const fields = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    expect(fields).toEqual(Object.keys(sample).filter((name) => name !== "type"));
    expect(formatEvent(sample)).toMatch(/^[\x20-\x7e]+$/);
  });
});
