import { expect, test } from "vitest";
import { formatEvent } from "./access-log.ts";

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
