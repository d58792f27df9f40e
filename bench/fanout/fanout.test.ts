import { describe, expect, it } from "vitest";
import { runCommand } from "../testing/command.ts";
import { expectReportShape } from "../testing/report-shape.ts";

interface Output {
  readonly rows: readonly { readonly subject: string; readonly metric: string; readonly median: number }[];
  readonly targets: readonly unknown[];
}

// Each starts up to eight processes.
describe("fanout bench", { timeout: 90_000 }, () => {
  it("measures every subject and prints one JSON object", async () => {
    const { code, stdout, stderr } = await runCommand(
      ...["fanout", "--json", "--runs", "1", "--clients", "5", "--messages", "20"],
      ...["--subjects", "stock Socket.IO,ws loop,Holdfast"],
    );
    expect(code, stderr).toBe(0);
    const output = JSON.parse(stdout) as Output;
    expectReportShape(output);
    const cpu = output.rows.filter(({ metric }) => metric.startsWith("server CPU per delivery"));
    expect(new Set(cpu.map(({ subject }) => subject))).toEqual(
      new Set(["stock Socket.IO", "Holdfast", "ws loop"]),
    );
    expect(cpu).toHaveLength(6);
    const latency = output.rows.filter(({ metric }) => metric.startsWith("latency p99 at half"));
    expect(latency).toHaveLength(4);
    for (const { median } of cpu) expect(median).toBeGreaterThan(0);
    expect(output.targets).toHaveLength(4);
  });

  it("measures three servers over Redis", async () => {
    const { code, stdout, stderr } = await runCommand(
      ...["fanout", "--json", "--runs", "1", "--clients", "6", "--messages", "20", "--only", "nodes"],
      ...["--subjects", "Holdfast over Redis,Socket.IO redis-adapter"],
    );
    expect(code, stderr).toBe(0);
    const output = JSON.parse(stdout) as Output;
    expectReportShape(output);
    expect(output.rows).toHaveLength(8);
    for (const { median } of output.rows) expect(median).toBeGreaterThan(0);
    expect(output.targets).toHaveLength(1);
  });
});
