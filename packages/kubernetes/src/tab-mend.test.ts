import { describe, expect, it } from "vitest";
import { mendTabs } from "./tab-mend.ts";
import { readYaml } from "./yaml-text.ts";

describe("mendTabs", () => {
  it.each([
    [
      "a line beside its siblings",
      "spec:\n\treplicas: 2\n  selector: x\n",
      "spec:\n  replicas: 2\n  selector: x\n",
    ],
    ["siblings of another step", "spec:\n\tx: 2\n    y: x\n", "spec:\n    x: 2\n    y: x\n"],
    ["a last line", "a:\n  b: 1\n\tc: 2\nd: 3\n", "a:\n  b: 1\n  c: 2\nd: 3\n"],
    ["a file of tabs", "a:\n\tb:\n\t\tc: 1\n\td: 2\n", "a:\n  b:\n    c: 1\n  d: 2\n"],
    [
      "a file of tabs under a step of four",
      "x:\n    y: 1\na:\n\tb:\n\t\tc: 1\n",
      "x:\n    y: 1\na:\n    b:\n        c: 1\n",
    ],
    ["spaces before the tab", "a:\n  b:\n  \tc: 1\nd: 2\n", "a:\n  b:\n    c: 1\nd: 2\n"],
    ["Windows line ends", "a:\r\n\tb: 1\r\n  c: 2\r\n", "a:\r\n  b: 1\r\n  c: 2\r\n"],
    ["a comment between", "a:\n\tb: 1\n# c\n\n  c: 2\n", "a:\n  b: 1\n# c\n\n  c: 2\n"],
  ])("mends %s", (_what, text, mended) => {
    expect(mendTabs("f", text).text).toBe(mended);
    expect(readYaml("f", mended).problems).toEqual([]);
  });

  it("lists each line that it mended, by its place in the whole text", () => {
    expect(mendTabs("f", "x: 1\n---\na:\n\tb: 1\n---\ny: 1\n---\nc:\n\t\td: 1\n").mends).toEqual([
      {
        what: 'indentation of "b: 1": a tab replaced by 2 spaces',
        before: "\t",
        after: "  ",
        at: { file: "f", line: 4, column: 1 },
      },
      {
        what: 'indentation of "d: 1": 2 tabs replaced by 4 spaces',
        before: "\t\t",
        after: "    ",
        at: { file: "f", line: 9, column: 1 },
      },
    ]);
  });

  it.each([
    ["no tabs", "a: 1\n"],
    ["tabs where YAML allows them", "a: |\n  x\n  \ty\nb: 1\t# c\n"],
    ["a tab that could mean two things", "a:\n  b:\n    c:\n\t\t\td: 1\n    e: 2\n"],
    ["a tab after spaces that could mean two things", "a:\n  b:\n  \tc: 1\n  d: 2\n"],
    ["another error beside the tab", "a:\n\tb: 1\n  c: [1\n"],
    ["an error before the tab", "a: [\nb:\n\tc: 1\n"],
  ])("leaves alone %s", (_what, text) => {
    expect(mendTabs("f", text)).toEqual({ text, mends: [] });
  });

  it("mends a long file of tabs, and keeps its block scalars' own", () => {
    const keys = Array.from({ length: 1_000 }, (_, index) => `k${index}: 1\n`);
    const script = "c: |\n  all:\n  \techo\n";
    const { text, mends } = mendTabs("f", `${script}a:\n\tb:\n${keys.map((key) => `\t\t${key}`).join("")}`);
    expect(text).toBe(`${script}a:\n  b:\n${keys.map((key) => `    ${key}`).join("")}`);
    expect(mends).toHaveLength(1_001);
  });

  it("gives up on a hostile file, and leaves it as it is", () => {
    const text = `a:\n${Array.from({ length: 1_000 }, (_, index) => `  k${index}:\n  \tx: 1\n`).join("")}`;
    expect(mendTabs("f", text)).toEqual({ text, mends: [] });
  });

  it("mends one document beside another that it can't", () => {
    const { text, mends } = mendTabs("f", "a:\n\tb: 1\n---\nc: [\n\td\n---\ne:\n\tf: 1\n");
    expect(text).toBe("a:\n  b: 1\n---\nc: [\n\td\n---\ne:\n  f: 1\n");
    expect(mends.map(({ at }) => at.line)).toEqual([2, 8]);
  });
});
