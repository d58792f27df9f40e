// The whole proof: every runner in turn, then one line that sums them up. A skipped test counts as a failed one,
// because it proves nothing; so does a runner that fails without naming a test.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { oldestNode } from "./oldest-node.ts";

interface Tally {
  readonly passed: number;
  readonly failed: number;
  /** What failed and how, in words: said again at the end, since thousands of lines stand between. */
  readonly failures?: readonly string[];
}

/** What is read of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number;
  readonly numTotalTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[] | null;
    }[];
  }[];
}

/** The most of one failure's message that is said again, in characters. */
const MESSAGE_LENGTH = 2000;

const scratch = mkdtempSync(join(tmpdir(), "holdfast-test-"));

function check(command: string, ...args: string[]): Tally {
  const succeeded = spawnSync(command, args, { stdio: "inherit" }).status === 0;
  return succeeded ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** @param files only those whose paths contain one of these; all without any */
function vitest(node: string, project: string, ...files: readonly string[]): Tally {
  const report = join(scratch, `${project}-${process.hrtime.bigint()}.json`);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const options = [`--project=${project}`, ...reporters, ...files];
  const ran = check(node, "node_modules/vitest/vitest.mjs", "run", ...options);
  try {
    const results: Report = JSON.parse(readFileSync(report, "utf8"));
    const passed = results.numPassedTests;
    const failed = Math.max(results.numTotalTests - passed, ran.failed);
    return { passed, failed, failures: failuresOf(results) };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

function failuresOf({ testResults }: Report): string[] {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(process.cwd(), name);
    const failed = assertionResults.filter((test) => test.status !== "passed");
    if (failed.length === 0)
      return status === "failed" ? [`${file}\n${message.slice(0, MESSAGE_LENGTH)}`] : [];
    return failed.map(({ fullName, status: how, failureMessages }) => {
      const messages = (failureMessages ?? []).join("\n").slice(0, MESSAGE_LENGTH);
      return `${file} > ${fullName} (${how})\n${messages}`;
    });
  });
}

const ON_BROKERS = ["test/socketio-brokers", "test/recovery", "test/presence", "test/differential.test"];

const steps: [title: string, step: () => Tally][] = [
  ["Format and lint", () => check("npm", "run", "--silent", "lint")],
  ["Types", () => check("npm", "run", "--silent", "types")],
  ["Generated docs up to date", () => check("npm", "run", "--silent", "docs", "--", "--check")],
  [`Unit, golden and contract tests (Node ${process.version})`, () => vitest(process.execPath, "unit")],
  ["Unit, golden and contract tests (the oldest Node supported)", () => vitest(oldestNode, "unit")],
  ["End-to-end, browser and fault tests", () => vitest(process.execPath, "system")],
  // The servers of these are processes, or the tests' own: so they run on it as well.
  [
    "Socket.IO on every broker (the oldest Node supported)",
    () => vitest(oldestNode, "system", ...ON_BROKERS),
  ],
];

let passed = 0;
let failed = 0;
const failures: string[] = [];
for (const [title, step] of steps) {
  console.log(`\n── ${title}`);
  const tally = step();
  passed += tally.passed;
  failed += tally.failed;
  if (tally.failed > 0) failures.push(`${title}: ${tally.failed} failed`, ...(tally.failures ?? []));
}
rmSync(scratch, { recursive: true, force: true });
process.exitCode = failed === 0 ? 0 : 1;
for (const failure of failures) console.log(`\n${failure}`);
console.log(`\n${passed} passed, ${failed} failed`);
