import { expect } from "vitest";

const NUMBER = expect.any(Number);
const TEXT = expect.any(String);

/** Holds the parsed output of `--json` to its published shape: these keys, no others, and figures that are possible. */
export function expectReportShape(output: unknown): void {
  expect(output).toStrictEqual({
    bench: TEXT,
    machine: {
      cpu: TEXT,
      cores: NUMBER,
      memoryBytes: NUMBER,
      platform: TEXT,
      release: TEXT,
      arch: TEXT,
      node: TEXT,
      pinning: TEXT,
      cpuTime: TEXT,
    },
    rows: expect.any(Array),
    targets: expect.any(Array),
  });
  const { rows, targets } = output as { rows: Record<string, number>[]; targets: Record<string, number>[] };
  expect(rows.length).toBeGreaterThan(0);
  for (const row of rows) {
    expect(row).toStrictEqual({
      subject: TEXT,
      metric: TEXT,
      unit: TEXT,
      median: NUMBER,
      min: NUMBER,
      max: NUMBER,
      runs: NUMBER,
    });
    expect(row.min).toBeLessThanOrEqual(row.median ?? Number.NaN);
    expect(row.median).toBeLessThanOrEqual(row.max ?? Number.NaN);
  }
  for (const target of targets) {
    expect(target).toStrictEqual({
      name: TEXT,
      value: NUMBER,
      limit: NUMBER,
      unit: TEXT,
      reached: expect.any(Boolean),
    });
    expect(target.reached).toBe((target.value ?? Number.NaN) <= (target.limit ?? Number.NaN));
  }
}
