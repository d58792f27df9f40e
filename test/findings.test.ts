import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROBLEMS } from "@holdfast/kubernetes";
import { LAB_FINDINGS } from "@holdfast/lab";
import { FINDINGS } from "@holdfast/routing";
import { expect, test } from "vitest";

test("docs/findings.md lists every finding and every problem, each as the code has it, and no others", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/findings.md"), "utf8");
  const rows = [...page.matchAll(/^\| `([^`|]+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$/gm)];
  const written = Object.fromEntries(
    rows.map(([, code = "", severity, meaning, fix]) => [code, { severity, meaning, fix }]),
  );
  const problems = Object.entries(PROBLEMS).map(([code, row]) => [code, { severity: "error", ...row }]);
  expect(written).toEqual({ ...FINDINGS, ...LAB_FINDINGS, ...Object.fromEntries(problems) });
  expect(rows).toHaveLength(Object.keys(written).length);
});
