import { parseArgs } from "node:util";
import { type Bench, runBench } from "./harness.ts";
import { formatReport } from "./report.ts";

/** Every bench, by name: a new one is a folder and a line here. */
const BENCHES: ReadonlyMap<string, () => Promise<Bench>> = new Map([
  ["connections", async () => (await import("./connections/connections.ts")).connections],
  ["fanout", async () => (await import("./fanout/fanout.ts")).fanout],
  ["ingress", async () => (await import("./ingress/ingress.ts")).ingress],
  ["log", async () => (await import("./log/log.ts")).log],
  ["routing", async () => (await import("./routing/routing.ts")).routing],
  ["storm", async () => (await import("./storm/storm.ts")).storm],
]);

const DEFAULT_RUNS = 5;
const MAX_RUNS = 1000;

/** The command line was not understood: exit code 2, with what would be. */
class UsageError extends Error {}

async function main(args: readonly string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h") {
    process.stdout.write(await describeBenches());
    return;
  }
  if (name.startsWith("-")) throw new UsageError(`the name of a bench comes first, before ${name}`);
  const load = BENCHES.get(name);
  if (!load)
    throw new UsageError(`there is no bench "${name}"; there are: ${[...BENCHES.keys()].join(", ")}`);
  const bench = await load();
  const { json, ...options } = readOptions(bench, rest);
  const report = await runBench(bench, {
    ...options,
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report));
}

interface Options {
  readonly json: boolean;
  readonly runs: number;
  readonly subjects: readonly string[];
  readonly sections: readonly string[];
  readonly values: ReadonlyMap<string, number>;
}

function readOptions(bench: Bench, args: readonly string[]): Options {
  const own = Object.entries(bench.options);
  const values = parse(args, ["runs", ...own.map(([name]) => name)]);
  const given = new Map<string, number>();
  for (const [name, { max }] of own) {
    const text = values[name];
    if (typeof text === "string") given.set(name, wholeNumber(name, text, max));
  }
  return {
    json: values.json === true,
    runs:
      typeof values.runs === "string"
        ? wholeNumber("runs", values.runs, MAX_RUNS)
        : (bench.runs ?? DEFAULT_RUNS),
    subjects: choose("subjects", values.subjects, bench.subjects),
    sections: choose("only", values.only, bench.sections ?? []),
    values: given,
  };
}

/** A list of names with commas between them, each of which the bench has; all of them when it isn't given. */
function choose(name: string, text: unknown, all: readonly string[]): readonly string[] {
  if (typeof text !== "string") return all;
  const chosen = text.split(",");
  const unknown = chosen.find((one) => !all.includes(one));
  if (unknown === undefined) return chosen;
  throw new UsageError(`--${name}: this bench has no "${unknown}"; it has: ${all.join(", ") || "none"}`);
}

function parse(args: readonly string[], numbers: readonly string[]): Record<string, unknown> {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean" },
        subjects: { type: "string" },
        only: { type: "string" },
        ...Object.fromEntries(numbers.map((name) => [name, { type: "string" as const }])),
      },
    });
    return values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new UsageError(`--${name} is a whole number from 1 to ${max}, not "${text}"`);
}

async function describeBenches(): Promise<string> {
  const lines = [
    "Usage: npm run bench -- NAME [--json] [--runs N] [--subjects A,B] [--only A,B] [options of the bench]",
    "",
    "  --json            print one JSON object and nothing else on standard output",
    "  --runs N          measure every subject N times",
    "  --subjects A,B    measure these subjects only",
    "  --only A,B        measure these sections only, of a bench that has some",
    "",
    "Benches:",
  ];
  for (const [name, load] of BENCHES) {
    const bench = await load();
    lines.push(`  ${name}: ${bench.summary}`, `    subjects: ${bench.subjects.join(", ")}`);
    if (bench.sections) lines.push(`    sections: ${bench.sections.join(", ")}`);
    lines.push(`    --runs N  (default ${bench.runs ?? DEFAULT_RUNS})`);
    for (const [option, { summary, default: value }] of Object.entries(bench.options)) {
      lines.push(`    --${option} N  ${summary} (default ${value})`);
    }
  }
  return `${lines.join("\n")}\n`;
}

// Ended by a signal's default it would leave its folders behind. What is done at its exit is done at once.
for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15 }))
  process.once(signal, () => process.exit(128 + number));

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
