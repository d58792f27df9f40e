import { describe, expect, it } from "vitest";
import { runCommand } from "../testing/command.ts";
import { expectReportShape } from "../testing/report-shape.ts";

interface Output {
  readonly rows: readonly { readonly subject: string; readonly metric: string; readonly median: number }[];
  readonly targets: readonly { readonly name: string }[];
}

async function run(...args: string[]): Promise<Output> {
  const { code, stdout, stderr } = await runCommand("ingress", "--json", "--runs", "1", ...args);
  expect(code, stderr).toBe(0);
  const output = JSON.parse(stdout) as Output;
  expectReportShape(output);
  return output;
}

/** Each run starts many processes, on a machine that may have much else to do. */
describe("ingress bench", { timeout: 60_000 }, () => {
  it("measures the proxies that it is told to, and holds them to their targets", async () => {
    const { rows, targets } = await run(
      ...["--subjects", "Holdfast,http-proxy", "--only", "http", "--seconds", "1", "--clients", "4"],
    );
    for (const subject of ["Holdfast", "http-proxy"]) {
      const measured = rows.filter((row) => row.subject === subject);
      expect(measured).toHaveLength(5);
      for (const { metric, median } of measured) expect(median, metric).toBeGreaterThan(0);
    }
    expect(targets.map(({ name }) => name)).toEqual([
      "proxy's CPU per HTTP request: Holdfast against http-proxy",
    ]);
  });

  it("measures messages over WebSockets, and the memory of idle ones", async () => {
    const { rows, targets } = await run(
      ...["--subjects", "Holdfast", "--only", "websocket,idle"],
      ...["--seconds", "1", "--clients", "4", "--idle", "200"],
    );
    expect(rows.map(({ metric }) => metric)).toEqual([
      "proxy's CPU per WebSocket round trip",
      "WebSocket round trips per second",
      "the proxy's core in use, WebSocket round trips",
      "latency p50, WebSocket round trip",
      "latency p99, WebSocket round trip",
      "memory per idle WebSocket",
    ]);
    expect(targets).toEqual([]);
  });

  it("measures how memory grows with requests and with connections", async () => {
    const { rows, targets } = await run(
      ...["--subjects", "Holdfast", "--only", "growth"],
      ...["--clients", "4", "--requests", "500", "--connections", "100"],
    );
    const metrics = ["memory growth over the requests", "memory growth over the connections"];
    expect(rows.map(({ metric }) => metric)).toEqual(metrics);
    expect(targets.map(({ name }) => name)).toEqual(metrics);
  });
});
