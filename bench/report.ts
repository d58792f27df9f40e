import type { Machine } from "./machine.ts";
import type { Summary } from "./statistics.ts";

/** What one bench found. This is what `--json` prints. */
export interface Report {
  readonly bench: string;
  readonly machine: Machine;
  readonly rows: readonly Row[];
  readonly targets: readonly Target[];
}

/** One metric of one subject, over all runs. */
export interface Row extends Summary {
  readonly subject: string;
  readonly metric: string;
  readonly unit: string;
}

/** A value that is to be at most its limit. */
export interface Target {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
  readonly reached: boolean;
}

/** `reached` follows from the two numbers, so that nobody states it. */
export function target(name: string, value: number, limit: number, unit: string): Target {
  return { name, value, limit, unit, reached: value <= limit };
}

/** @throws RangeError when the bench has no such row. */
export function findRow(rows: readonly Row[], subject: string, metric: string): Row {
  const row = rows.find((candidate) => candidate.subject === subject && candidate.metric === metric);
  if (!row) throw new RangeError(`no row "${metric}" of ${subject}`);
  return row;
}

/** The report for a person, as lines of text. */
export function formatReport(report: Report): string {
  const { machine } = report;
  const lines = [
    `Bench ${report.bench}`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.platform} ${machine.release} ${machine.arch}, Node.js ${machine.node}`,
    `Processes: ${machine.pinning}. CPU time from ${machine.cpuTime}.`,
    "",
    ...formatRows(report.rows),
    "",
    ...formatTargets(report.targets),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

function formatRows(rows: readonly Row[]): string[] {
  const header = ["metric", "unit", "subject", "median", "min", "max", "runs"];
  // The same metric of all subjects stands together, since that is what is compared.
  const metrics = [...new Set(rows.map((row) => row.metric))];
  const groups = metrics.map((metric) => rows.filter((row) => row.metric === metric));
  const cells = groups.map((group) =>
    group.map(({ metric, unit, subject, median, min, max, runs }, index) => [
      index === 0 ? metric : "",
      index === 0 ? unit : "",
      subject,
      formatNumber(median),
      formatNumber(min),
      formatNumber(max),
      String(runs),
    ]),
  );
  return alignColumns([header, ...cells.flat()], 3);
}

function formatTargets(targets: readonly Target[]): string[] {
  const header = ["target", "value", "limit", "unit", ""];
  const cells = targets.map(({ name, value, limit, unit, reached }) => [
    name,
    formatNumber(value),
    `at most ${formatNumber(limit)}`,
    unit,
    reached ? "reached" : "NOT REACHED",
  ]);
  return cells.length === 0 ? [] : alignColumns([header, ...cells], 5);
}

/** Columns before `firstRight` are flush left, the others (numbers) flush right. */
function alignColumns(cells: readonly (readonly string[])[], firstRight: number): string[] {
  const widths: number[] = [];
  for (const row of cells) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return cells.map((row) =>
    row
      .map((cell, column) =>
        column < firstRight ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}

/** Three significant digits, which is more than a shared machine repeats; whole numbers from a thousand on. */
function formatNumber(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}
