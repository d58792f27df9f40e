import { describe, expect, it } from "vitest";
import { describeMachine } from "./machine.ts";
import { findRow, formatReport, type Report, target } from "./report.ts";
import { expectReportShape } from "./testing/report-shape.ts";

const report: Report = {
  bench: "sample",
  machine: describeMachine({ type: "free", reason: "a test" }),
  rows: [
    { subject: "peer", metric: "CPU", unit: "µs", median: 8.125, min: 7, max: 9, runs: 3 },
    { subject: "peer", metric: "rate", unit: "1/s", median: 123_456.7, min: 1, max: 200_000, runs: 3 },
    { subject: "ours", metric: "CPU", unit: "µs", median: 1.25, min: 1, max: 2, runs: 3 },
  ],
  targets: [target("near", 0.5, 0.5, "ratio"), target("far", 0.7, 0.5, "ratio")],
};

describe("report", () => {
  it("has the published shape as JSON", () => {
    expectReportShape(JSON.parse(JSON.stringify(report)));
  });

  it("says plainly which targets are not reached", () => {
    const lines = formatReport(report).split("\n");
    expect(lines.find((line) => line.startsWith("near"))).toMatch(/ reached$/);
    expect(lines.find((line) => line.startsWith("far"))).toMatch(/ NOT REACHED$/);
  });

  it("sets the same metric of all subjects one under the other, named once", () => {
    const lines = formatReport(report).split("\n");
    const first = lines.findIndex((line) => /^CPU +µs +peer +8\.13 +7 +9 +3$/.test(line));
    expect(first).toBeGreaterThan(0);
    expect(lines[first + 1]).toMatch(/^ +ours +1\.25 +1 +2 +3$/);
    expect(lines[first + 2]).toMatch(/^rate +1\/s +peer +123,457 +1 +200,000 +3$/);
  });

  it("says when processes were not pinned, and why", () => {
    expect(formatReport(report)).toContain("not pinned: a test");
  });
});

describe("target", () => {
  it("is reached at its limit and not above", () => {
    expect(report.targets.map(({ reached }) => reached)).toEqual([true, false]);
  });
});

describe("findRow", () => {
  it("refuses a metric that was not measured", () => {
    expect(findRow(report.rows, "ours", "CPU").median).toBe(1.25);
    expect(() => findRow(report.rows, "ours", "rate")).toThrow('no row "rate" of ours');
  });
});
