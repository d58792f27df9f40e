import type { Calls } from "./calls.ts";
import { type Command, CommandProcess } from "./command-process.ts";
import { describeMachine } from "./machine.ts";
import { OwnFolder } from "./own-folder.ts";
import { findPinning, type Pinning, type Role } from "./pinning.ts";
import type { Report, Row, Target } from "./report.ts";
import { summarise } from "./statistics.ts";
import { SubjectProcess } from "./subject-process.ts";

/** A question about Holdfast and its peers that is answered by measuring them the same way, in turn, in one go. */
export interface Bench {
  readonly name: string;
  /** One line for a person. */
  readonly summary: string;
  /** What is compared, in the order of measuring. */
  readonly subjects: readonly string[];
  /** What it measures of each subject, where it can be told to measure a part only. */
  readonly sections?: readonly string[];
  /** How often every subject is measured unless the command line says it. Default 5. */
  readonly runs?: number;
  /** Gets ready what the subjects need of the machine. */
  readonly prepare?: (subjects: readonly string[], onProgress: (line: string) => void) => void;
  /** Whole numbers that can be set on the command line, as `--name N`. */
  readonly options: Readonly<Record<string, BenchOption>>;
  /**
   * Measures one subject once: starts it afresh, warms it, measures.
   *
   * @throws Error when the subject didn't do its work: a run that lost a message has no speed.
   */
  measure(subject: string, run: Run): Promise<readonly Measurement[]>;
  /**
   * Measures what is compared closely: all subjects are there at the same time and are measured in short turns, one after
   * the other, so that what else the machine does falls to each of them alike. Once in each run, before `measure`.
   *
   * @throws Error as `measure`
   */
  readonly measureInTurns?: (
    subjects: readonly string[],
    run: Run,
  ) => Promise<ReadonlyMap<string, readonly Measurement[]>>;
  /** What the figures are held against. */
  targets(rows: readonly Row[]): readonly Target[];
}

export interface BenchOption {
  readonly summary: string;
  readonly default: number;
  /** The least is 1. */
  readonly max: number;
}

/** What one measuring may use. */
export interface Run {
  /** The value of each of the bench's options. */
  readonly option: (name: string) => number;
  /** Which measuring of this subject it is, from 1 on. */
  readonly number: number;
  /** Whether this section is to be measured. */
  readonly wants: (section: string) => boolean;
  /** Starts a process on its role's core. It ends with the run, at the latest. */
  readonly start: <C extends Calls>(module: URL, role: Role) => Promise<SubjectProcess<C>>;
  /** Starts a server that isn't ours, likewise. */
  readonly spawn: (command: Command, role: Role) => Promise<CommandProcess>;
  /** Makes a folder. It goes with the run, after its processes. */
  readonly folder: () => string;
}

export interface Measurement {
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
}

export interface HarnessOptions {
  /** How often every subject is measured. */
  readonly runs: number;
  /** The subjects to measure. Default: all. */
  readonly subjects?: readonly string[];
  /** The sections to measure. Default: all. */
  readonly sections?: readonly string[];
  /** Values for the bench's own options; what is absent has its default. */
  readonly values: ReadonlyMap<string, number>;
  /** Told what is being measured, for a person who waits. */
  readonly onProgress: (line: string) => void;
}

/**
 * Measures all subjects of a bench in turn (A B C, A B C, ...), so that a machine that gets slower in the meantime
 * does so for all of them.
 */
export async function runBench(bench: Bench, options: HarnessOptions): Promise<Report> {
  const pinning = findPinning();
  const series = new Map<string, { row: Omit<Row, "median" | "min" | "max" | "runs">; values: number[] }>();
  const subjects = bench.subjects.filter((subject) => options.subjects?.includes(subject) ?? true);
  bench.prepare?.(subjects, options.onProgress);
  const add = (subject: string, measurements: readonly Measurement[]) => {
    for (const { metric, unit, value } of measurements) {
      const key = JSON.stringify([subject, metric]);
      const one = series.get(key) ?? { row: { subject, metric, unit }, values: [] };
      one.values.push(value);
      series.set(key, one);
    }
  };
  for (let run = 1; run <= options.runs; run++) {
    const progress = (what: string) =>
      options.onProgress(`${bench.name}: run ${run} of ${options.runs}, ${what}`);
    if (bench.measureInTurns) {
      progress("in turns");
      const { measureInTurns } = bench;
      const use = (own: Run) => measureInTurns(subjects, own);
      for (const [subject, measured] of await withRun(bench, "in turns", run, pinning, options, use)) {
        add(subject, measured);
      }
    }
    for (const subject of subjects) {
      progress(subject);
      const use = (own: Run) => bench.measure(subject, own);
      add(subject, await withRun(bench, subject, run, pinning, options, use));
    }
  }
  const rows = [...series.values()].map(({ row, values }) => ({ ...row, ...summarise(values) }));
  return { bench: bench.name, machine: describeMachine(pinning), rows, targets: bench.targets(rows) };
}

async function withRun<Result>(
  bench: Bench,
  what: string,
  number: number,
  pinning: Pinning,
  options: HarnessOptions,
  use: (run: Run) => Promise<Result>,
): Promise<Result> {
  const started: { stop(): Promise<void> }[] = [];
  const folders: OwnFolder[] = [];
  const run: Run = {
    option: (name) => {
      const value = options.values.get(name) ?? bench.options[name]?.default;
      if (value === undefined) throw new RangeError(`bench ${bench.name} has no option "${name}"`);
      return value;
    },
    number,
    wants: (section) => options.sections?.includes(section) ?? true,
    start: async <C extends Calls>(module: URL, role: Role) => {
      const process = await SubjectProcess.start<C>(module, role, pinning);
      started.push(process);
      return process;
    },
    spawn: async (command, role) => {
      const process = await CommandProcess.start(command, role, pinning);
      started.push(process);
      return process;
    },
    folder: () => {
      const folder = new OwnFolder();
      folders.push(folder);
      return folder.path;
    },
  };
  try {
    return await use(run);
  } catch (error) {
    throw new Error(`${bench.name}, ${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  } finally {
    await Promise.all(started.map((process) => process.stop()));
    for (const folder of folders) folder.remove();
  }
}
