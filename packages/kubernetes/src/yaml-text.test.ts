import { describe, expect, it } from "vitest";
import { readYaml } from "./yaml-text.ts";

function problemsOf(text: string): string[] {
  return readYaml("f", text).problems.map(({ code, at }) => `${code} ${at.line}:${at.column}`);
}

function valuesOf(text: string): unknown[] {
  const { documents, problems } = readYaml("f", text);
  expect(problems).toEqual([]);
  return documents.map(({ value }) => value);
}

describe("readYaml", () => {
  it("reads several documents, and empty ones as nothing", () => {
    expect(valuesOf("---\n---\n# c\n---\na: 1\n...\n---\nb: 2\n")).toEqual([
      undefined,
      undefined,
      { a: 1 },
      { b: 2 },
    ]);
    expect(valuesOf("")).toEqual([]);
    expect(valuesOf("# only a comment\n")).toEqual([]);
  });

  it("reads yes, no, on and off as kubectl does", () => {
    expect(valuesOf('{a: yes, b: Off, c: "yes", d: y}')).toEqual([{ a: true, b: false, c: "yes", d: "y" }]);
  });

  it("merges what << names under what is written beside it", () => {
    expect(valuesOf("a: &a { x: 1, y: 1 }\nb: { y: 2, <<: *a }\nc: { <<: [{ x: 3 }, *a] }\n")).toEqual([
      { a: { x: 1, y: 1 }, b: { x: 1, y: 2 }, c: { x: 3, y: 1 } },
    ]);
  });

  it.each([
    ["a: [1\n", "YAML_SYNTAX 2:1"],
    ["a: b: c\n", "YAML_SYNTAX 1:4"],
    ["a: 1\nb: 2\na: 3\n", "YAML_SYNTAX 3:1"],
    ["a: *none\n", "YAML_SYNTAX 1:4"],
    ["a: &a { b: *a }\n", "YAML_SYNTAX 1:12"],
    ["<<: 1\n", "YAML_SYNTAX 1:1"],
    ["? [a]\n: b\n", "YAML_SYNTAX 1:3"],
    ["a:\n\tb: 1\n", "YAML_TAB 2:1"],
    ["a:\n  b: 1\n\tc: 1\n", "YAML_TAB 3:1"],
    ["a:\n  \tb: 1\n", "YAML_TAB 2:3"],
    ["a: [1,\n\t2]\n", "YAML_TAB 2:1"],
    ["a: |\n\tx\n", "YAML_TAB 2:1"],
    ["\ta: 1\n", "YAML_TAB 1:1"],
  ])("names the place in %j: %s", (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });

  it("reports one problem a document, and reads the documents without one", () => {
    const { documents, problems } = readYaml("f", "a: [\n---\nb: 1\n---\n\tc: 1\n");
    expect(documents.map(({ value }) => value)).toEqual([{ b: 1 }]);
    expect(problems.map(({ code, at }) => [code, at.line])).toEqual([
      ["YAML_SYNTAX", 2],
      ["YAML_TAB", 5],
    ]);
  });
});

describe("a hostile text", () => {
  it.each([
    ["nested lists", "[".repeat(4_000_000)],
    ["nested lists and texts", "[a, ".repeat(1_000_000)],
    ["nested keys", "{a: ".repeat(1_000_000)],
    ["nested block lists", "- ".repeat(2_000_000)],
    ["nested questions", "? ".repeat(2_000_000)],
    ["mappings deeper than any manifest", `${"{a: ".repeat(200)}1${"}".repeat(200)}`],
  ])("of %s is refused and crashes nothing", (_what, text) => {
    expect(problemsOf(text).map((problem) => problem.split(" ")[0])).toEqual(["YAML_TOO_COMPLEX"]);
  });

  it("can't grow by aliases of aliases", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level <= 9; level += 1) {
      lines.push(
        `a${level}: &a${level} [${Array(9)
          .fill(`*a${level - 1}`)
          .join(", ")}]`,
      );
    }
    expect(problemsOf(lines.join("\n"))).toEqual(["YAML_TOO_COMPLEX 7:10"]);
  });

  it("can't nest by aliases deeper than by hand", () => {
    const lines = ["a0: &a0 x"];
    for (let level = 1; level <= 120; level += 1) lines.push(`a${level}: &a${level} [*a${level - 1}]`);
    expect(problemsOf(lines.join("\n"))).toMatchObject([expect.stringMatching(/^YAML_TOO_COMPLEX/)]);
  });

  it("of ten thousand keys and as many aliases is read in linear time", () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => `k${index}: *a`);
    expect(Object.keys(valuesOf(`a: &a x\n${keys.join("\n")}`)[0] as object)).toHaveLength(10_001);
  });
});
