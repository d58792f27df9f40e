import { describe, expect, it } from "vitest";
import { runCommand } from "../testing/command.ts";
import { expectReportShape } from "../testing/report-shape.ts";

describe("routing bench", () => {
  it("measures translation, changes and look-ups and prints one JSON object", async () => {
    const { code, stdout, stderr } = await runCommand(
      ...["routing", "--json", "--runs", "1", "--ingresses", "20", "--rules", "3", "--endpoints", "60"],
      ...["--changes", "5", "--lookups", "1000"],
    );
    expect(code, stderr).toBe(0);
    const output = JSON.parse(stdout);
    expectReportShape(output);
    expect(output.rows).toHaveLength(6);
    for (const { median } of output.rows) expect(median).toBeGreaterThan(0);
    expect(output.targets).toHaveLength(2);
  });
});
