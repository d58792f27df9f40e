import { describe, expect, it } from "vitest";
import { type Bench, runBench } from "./harness.ts";
import { findRow, target } from "./report.ts";
import type { BurnerCalls } from "./testing/burner.ts";
import { expectReportShape } from "./testing/report-shape.ts";

const BURNER = new URL("./testing/burner.ts", import.meta.url);
const OPTIONS = { runs: 3, values: new Map<string, number>(), onProgress: () => {} };

const sample: Bench = {
  name: "sample",
  summary: "",
  subjects: ["A", "B"],
  options: { size: { summary: "", default: 4, max: 9 } },
  measure: async () => [],
  targets: () => [],
};

describe("runBench", () => {
  it("measures the subjects in turn", async () => {
    const order: string[] = [];
    const measure: Bench["measure"] = async (subject) => {
      order.push(subject);
      return [{ metric: "place", unit: "1", value: order.length }];
    };
    const { rows } = await runBench({ ...sample, measure }, OPTIONS);
    expect(order).toEqual(["A", "B", "A", "B", "A", "B"]);
    expect(findRow(rows, "A", "place")).toMatchObject({ median: 3, min: 1, max: 5, runs: 3 });
    expect(findRow(rows, "B", "place")).toMatchObject({ median: 4, min: 2, max: 6, runs: 3 });
  });

  it("measures what is compared closely first, with all subjects of the run there", async () => {
    const seen: string[] = [];
    const bench: Bench = {
      ...sample,
      measureInTurns: async (subjects, run) => {
        seen.push(`${run.number} ${subjects.join("")}`);
        return new Map(
          subjects.map((subject) => [subject, [{ metric: "close", unit: "1", value: run.number }]]),
        );
      },
      measure: async (subject, run) => {
        seen.push(`${run.number} ${subject}`);
        return [{ metric: "far", unit: "1", value: 0 }];
      },
    };
    const { rows } = await runBench(bench, { ...OPTIONS, runs: 2 });
    expect(seen).toEqual(["1 AB", "1 A", "1 B", "2 AB", "2 A", "2 B"]);
    expect(findRow(rows, "B", "close")).toMatchObject({ min: 1, max: 2, runs: 2 });
    expect(findRow(rows, "A", "far")).toMatchObject({ median: 0, runs: 2 });
    const fails = async () => {
      throw new Error("a message was lost");
    };
    await expect(runBench({ ...bench, measureInTurns: fails }, OPTIONS)).rejects.toThrow(
      "sample, in turns: a message was lost",
    );
  });

  it("reports a target that is missed as a finding, not as a failure", async () => {
    const report = await runBench(
      {
        ...sample,
        measure: async () => [{ metric: "cost", unit: "µs", value: 2 }],
        targets: (rows) => [target("cost of A", findRow(rows, "A", "cost").median, 1, "µs")],
      },
      OPTIONS,
    );
    expect(report.targets).toEqual([{ name: "cost of A", value: 2, limit: 1, unit: "µs", reached: false }]);
    expectReportShape(JSON.parse(JSON.stringify(report)));
  });

  it("gives a bench its options, by default or as set", async () => {
    const sizes: number[] = [];
    const bench: Bench = {
      ...sample,
      subjects: ["A"],
      measure: async (_subject, run) => {
        sizes.push(run.option("size"));
        return [];
      },
    };
    await runBench(bench, { ...OPTIONS, runs: 1 });
    await runBench(bench, { ...OPTIONS, runs: 1, values: new Map([["size", 7]]) });
    expect(sizes).toEqual([4, 7]);
  });

  it("measures the subjects and sections that it is told to, in the bench's order", async () => {
    const measured: string[] = [];
    const bench: Bench = {
      ...sample,
      subjects: ["A", "B", "C"],
      sections: ["speed", "memory"],
      prepare: (subjects) => measured.push(`prepared ${subjects.join("")}`),
      measure: async (subject, run) => {
        measured.push(`${run.number} ${subject}`, ...["speed", "memory"].filter(run.wants));
        return [];
      },
    };
    await runBench(bench, { ...OPTIONS, runs: 2, subjects: ["C", "A"], sections: ["memory"] });
    const expected = ["prepared AC", "1 A", "memory", "1 C", "memory", "2 A", "memory", "2 C", "memory"];
    expect(measured).toEqual(expected);
  });

  it("names the subject that failed, and ends what it had started", async () => {
    let pid = 0;
    const measure: Bench["measure"] = async (_subject, run) => {
      const burner = await run.start<BurnerCalls>(BURNER, "server");
      pid = await burner.call("pid", null);
      await burner.call("fail", { message: "a message was lost" });
      return [];
    };
    await expect(runBench({ ...sample, measure }, OPTIONS)).rejects.toThrow("sample, A: a message was lost");
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });
});
