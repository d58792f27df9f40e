import { expect, it } from "vitest";
import { runCommand } from "../testing/command.ts";
import { expectReportShape } from "../testing/report-shape.ts";

it("measures every engine and prints one JSON object", async () => {
  const few = { entries: 500, deliveries: 10, subscribers: 50, back: 20, idle: 100 };
  const options = Object.entries(few).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const { code, stdout, stderr } = await runCommand("log", "--json", "--runs", "1", ...options);
  expect(code, stderr).toBe(0);
  const output = JSON.parse(stdout) as { rows: { subject: string; median: number }[]; targets: unknown[] };
  expectReportShape(output);
  const subjects = [
    "embedded, memory",
    "embedded, file",
    "served, file",
    "Redis synced at once",
    "Redis synced each second",
  ];
  expect([...new Set(output.rows.map(({ subject }) => subject))]).toEqual(subjects);
  expect(output.rows).toHaveLength(subjects.length * 12);
  for (const { median } of output.rows) expect(median).toBeGreaterThan(0);
  expect(output.targets).toHaveLength(2);
});
