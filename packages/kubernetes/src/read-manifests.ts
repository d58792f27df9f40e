import type { KubernetesObject, Mend } from "@holdfast/routing";
import { Manifests, type PassedOver } from "./manifest.ts";
import { type Problem, problem } from "./problem.ts";
import { type SourceLimits, SourceReader } from "./source-file.ts";
import { mendTabs } from "./tab-mend.ts";
import { readYaml } from "./yaml-text.ts";

export interface ReadManifestsOptions {
  /** The text that the path `-` stands for. Default: empty. */
  readonly stdin?: string;
  /** Replace tabs in the indentation by spaces, in memory, where that is safe. Default: false. */
  readonly mend?: boolean;
  /** Default 4 MiB. */
  readonly maxFileBytes?: number;
  /** Default 1,000. */
  readonly maxFiles?: number;
  /** Default 64 MiB. */
  readonly maxTotalBytes?: number;
}

export const DEFAULTS: Required<ReadManifestsOptions> & SourceLimits = {
  stdin: "",
  mend: false,
  maxFileBytes: 4 * 1_024 * 1_024,
  maxFiles: 1_000,
  maxTotalBytes: 64 * 1_024 * 1_024,
};

const MAX_FILE_PROBLEMS = 100;

export interface ReadManifests {
  /** In the order of the texts; every object of them that has no problem. */
  readonly objects: readonly KubernetesObject[];
  readonly passedOver: readonly PassedOver[];
  /** By file and line. Whoever means to run the objects should refuse to when there is any. */
  readonly problems: readonly Problem[];
  readonly mends: readonly Mend[];
}

/**
 * Reads Kubernetes manifests from files, folders and a text. What is wrong with them comes back as data, all of it
 * at once.
 *
 * @param paths files, folders (with everything below that ends in .yaml, .yml or .json, sorted), or `-`
 * @throws TypeError for an unknown option, or one of a wrong type
 */
export async function readManifests(
  paths: readonly string[],
  options: ReadManifestsOptions = {},
): Promise<ReadManifests> {
  const { stdin, mend, ...limits } = checkOptions(options);
  const problems: Problem[] = [];
  const mends: Mend[] = [];
  const manifests = new Manifests(problems);
  for await (const { file, text } of new SourceReader(limits, stdin, problems).read(paths)) {
    const mended = mend ? mendTabs(file, text) : { text, mends: [] };
    for (const one of mended.mends) mends.push(one);
    const yaml = readYaml(file, mended.text);
    const before = problems.length;
    for (const one of yaml.problems) problems.push(one);
    for (const document of yaml.documents) manifests.add(document);
    for (const one of inOrder(file, problems.splice(before))) problems.push(one);
  }
  const { objects, passedOver } = manifests;
  if (objects.length === 0 && problems.length === 0) {
    problems.push(
      problem("NO_OBJECTS", { file: paths.join(", ") }, "no object of a kind that Holdfast reads"),
    );
  }
  return { objects, passedOver, problems, mends };
}

/** A file's problems by line, and no more of them than a person would read. */
function inOrder(file: string, problems: readonly Problem[]): Problem[] {
  const sorted = problems.toSorted((a, b) => (a.at.line ?? 0) - (b.at.line ?? 0));
  if (sorted.length <= MAX_FILE_PROBLEMS) return sorted;
  const more = `${sorted.length - MAX_FILE_PROBLEMS} more problems in this file`;
  return [...sorted.slice(0, MAX_FILE_PROBLEMS), problem("TOO_MANY_PROBLEMS", { file }, more)];
}

function checkOptions(options: ReadManifestsOptions): Required<ReadManifestsOptions> {
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(DEFAULTS, key)) throw new TypeError(`readManifests: unknown option ${key}`);
    const wanted = typeof DEFAULTS[key as keyof ReadManifestsOptions];
    if (value === undefined) continue;
    if (typeof value !== wanted) throw new TypeError(`readManifests: option ${key} has to be a ${wanted}`);
    if (typeof value === "number" && !(Number.isSafeInteger(value) && value > 0)) {
      throw new TypeError(`readManifests: option ${key} has to be a whole number above 0`);
    }
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}
