import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FINDINGS } from "@holdfast/routing";
import { describe, expect, it } from "vitest";
import { PROBLEMS } from "../src/mod.ts";

type Row = { severity: string; meaning: string; fix: string };

describe("docs/findings.md", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/findings.md"), "utf8");

  it("lists every finding and every problem, each as the code has it, and no others", () => {
    const written = new Map<string, Row>();
    for (const [, code = "", severity = "", meaning = "", fix = ""] of page.matchAll(
      /^\| `([^`|]+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$/gm,
    )) {
      expect(written.has(code), `${code} is listed twice`).toBe(false);
      written.set(code, { severity, meaning, fix });
    }
    const problems = Object.entries(PROBLEMS).map(([code, row]): [string, Row] => [
      code,
      { severity: "error", ...row },
    ]);
    expect(Object.fromEntries(written)).toEqual({ ...FINDINGS, ...Object.fromEntries(problems) });
  });
});
