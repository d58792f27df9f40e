import { expect, it } from "vitest";
import { runCommand } from "../testing/command.ts";
import { expectReportShape } from "../testing/report-shape.ts";

interface Output {
  readonly rows: readonly { readonly metric: string; readonly median: number }[];
  readonly targets: readonly unknown[];
}

it("measures every subject and prints one JSON object", async () => {
  const { code, stdout, stderr } = await runCommand(
    ...["connections", "--json", "--runs", "1", "--clients", "60"],
  );
  expect(code, stderr).toBe(0);
  const output = JSON.parse(stdout) as Output;
  expectReportShape(output);
  expect(output.rows).toHaveLength(8);
  for (const { metric, median } of output.rows) {
    if (!metric.startsWith("memory") && !metric.startsWith("heap")) expect(median).toBeGreaterThan(0);
  }
  expect(output.targets).toHaveLength(2);
});
