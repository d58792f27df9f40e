import { expect, it } from "vitest";
import { runCommand } from "../testing/command.ts";
import { expectReportShape } from "../testing/report-shape.ts";

interface Output {
  readonly rows: readonly { readonly metric: string; readonly median: number }[];
  readonly targets: readonly { readonly met?: boolean }[];
}

it("kills a server, and every client is back with all that it missed", async () => {
  const { code, stdout, stderr } = await runCommand(
    ...["storm", "--json", "--clients", "40", "--subjects", "Holdfast served"],
  );
  expect(code, stderr).toBe(0);
  const output = JSON.parse(stdout) as Output;
  expectReportShape(output);
  const median = (metric: string) => output.rows.find((row) => row.metric === metric)?.median;
  expect(median("messages lost")).toBe(0);
  expect(median("messages doubled")).toBe(0);
  expect(median("sessions recovered")).toBe(100);
  expect(median("100 % back and caught up")).toBeGreaterThan(0);
  expect(output.targets).toHaveLength(2);
});
