import {
  formatPosition,
  type KubernetesObject,
  nameOf,
  type ObjectSource,
  printable,
  type TextPosition,
} from "@holdfast/routing";
import type { z } from "zod";
import { findKind } from "./kind.ts";
import { type Problem, problem } from "./problem.ts";
import type { YamlDocument } from "./yaml-text.ts";

type Path = readonly (string | number)[];

/** An object of a kind that is of no concern here. */
export interface PassedOver {
  readonly kind: string;
  readonly apiVersion: string;
  /** `namespace/name`, or the name alone where the manifest gives no namespace. */
  readonly name: string;
  readonly at: TextPosition;
}

/** Lists in lists go no deeper than this. */
const MAX_LIST_DEPTH = 8;
/** A broken object is reported by so many fields at most. */
const MAX_FIELD_PROBLEMS = 20;

/** Collects what the documents of any number of files hold. */
export class Manifests {
  readonly objects: KubernetesObject[] = [];
  readonly passedOver: PassedOver[] = [];
  readonly #problems: Problem[];
  readonly #places = new Map<string, TextPosition>();

  /** @param problems where to report */
  constructor(problems: Problem[]) {
    this.#problems = problems;
  }

  add(document: YamlDocument): void {
    if (document.value !== undefined) this.#addValue(document, document.value, [], undefined, 0);
  }

  #addValue(
    document: YamlDocument,
    value: unknown,
    path: Path,
    implied: { readonly kind: string; readonly apiVersion: string } | undefined,
    depth: number,
  ): void {
    const at = document.locate(path);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.#problems.push(problem("NOT_KUBERNETES", at, `not a Kubernetes object: ${describe(value)}`));
      return;
    }
    const {
      apiVersion = implied?.apiVersion,
      kind = implied?.kind,
      items,
    } = value as Record<string, unknown>;
    const missing = [isName(apiVersion) ? "" : "apiVersion", isName(kind) ? "" : "kind"].filter(Boolean);
    if (!isName(apiVersion) || !isName(kind)) {
      this.#problems.push(
        problem("NOT_KUBERNETES", at, `not a Kubernetes object: no ${missing.join(" and no ")}`),
      );
      return;
    }
    if (kind.endsWith("List") && Array.isArray(items) && depth < MAX_LIST_DEPTH) {
      // Items of a typed list may leave out what the list's kind says; those of a plain List may not.
      const itemKind = kind === "List" ? undefined : { kind: kind.slice(0, -"List".length), apiVersion };
      for (const [index, item] of items.entries()) {
        this.#addValue(document, item, [...path, "items", index], itemKind, depth + 1);
      }
      return;
    }
    this.#addObject(document, value, path, kind, apiVersion);
  }

  #addObject(document: YamlDocument, value: object, path: Path, kind: string, apiVersion: string): void {
    const at = document.locate(path);
    const found = findKind(kind, apiVersion);
    if (found.type === "other") {
      this.passedOver.push({
        kind: printable(kind),
        apiVersion: printable(apiVersion),
        name: printable(looseName(value)),
        at,
      });
      return;
    }
    const what = `${kind} ${looseName(value)}`;
    if (found.type === "version") {
      const message = `${what}: apiVersion ${apiVersion} of kind ${kind} is not supported`;
      const fix = `Write apiVersion: ${found.supported.join(" or ")}.`;
      this.#problems.push(
        problem("VERSION_UNSUPPORTED", document.locate([...path, "apiVersion"]), message, fix),
      );
      return;
    }
    const { reader } = found;
    const source: ObjectSource = {
      file: at.file,
      line: at.line,
      locate: (field) => document.locate([...path, ...(reader.written?.(field) ?? field)]),
    };
    const result = reader.read(apiVersion, value, source);
    if (result.ok) this.#keep(result.object, at);
    else {
      const { confidential = false } = reader;
      this.#problems.push(...fieldProblems(document, value, path, { what, confidential }, result.error));
    }
  }

  #keep(object: KubernetesObject, at: TextPosition): void {
    const what =
      object.kind === "Namespace" ? `Namespace ${object.metadata.name}` : `${object.kind} ${nameOf(object)}`;
    const earlier = this.#places.get(what);
    if (earlier !== undefined) {
      const message = `${what} is there already, at ${formatPosition(earlier)}`;
      this.#problems.push(problem("DUPLICATE_OBJECT", at, message));
      return;
    }
    this.#places.set(what, at);
    this.objects.push(object);
  }
}

function fieldProblems(
  document: YamlDocument,
  value: object,
  path: Path,
  { what, confidential }: { readonly what: string; readonly confidential: boolean },
  error: z.ZodError,
): Problem[] {
  return error.issues.slice(0, MAX_FIELD_PROBLEMS).map((issue) => {
    const field = issue.path.map((key) => (typeof key === "symbol" ? String(key) : key));
    const got = valueAt(value, field);
    const shown = confidential ? describeKind(got) : describe(got);
    const message = `${what}: ${fieldText(field)}: expected ${issue.message}, got ${shown}`;
    return problem(
      "FIELD_INVALID",
      document.locate([...path, ...field]),
      message,
      confidential ? `Write ${issue.message}.` : fieldFix(field, issue.message, got),
    );
  });
}

function fieldFix(field: Path, wanted: string, got: unknown): string {
  const name = fieldText(field.slice(-1));
  if (got === undefined || got === null) return `Add ${name}: ${wanted}.`;
  if (typeof got === "string" && /number/.test(wanted) && /^-?[0-9]{1,15}$/.test(got)) {
    return `Write ${name}: ${got}, without quotes.`;
  }
  if ((typeof got === "number" || typeof got === "boolean") && wanted === "a string") {
    return "Put it in quotes.";
  }
  return `Write ${wanted}.`;
}

function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string | number, unknown>)[key];
  }
  return current;
}

/** A field's path as people write it: `spec.ports[0].port`. */
function fieldText(path: Path): string {
  let written = "";
  for (const key of path) {
    if (typeof key === "number") written += `[${key}]`;
    else if (/[./]/.test(key)) written += `[${JSON.stringify(key)}]`;
    else written += written === "" ? key : `.${key}`;
  }
  return written;
}

/** A value for people: what it is, and short ones in full. */
function describe(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") {
    return `the string ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`;
  }
  return typeof value === "object" ? "a mapping" : `the ${typeof value} ${String(value)}`;
}

/** What kind of value it is, and nothing of the value. */
function describeKind(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a mapping" : `a ${typeof value}`;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 253;
}

/** The name of an object that was not validated. */
function looseName(value: object): string {
  const name = valueAt(value, ["metadata", "name"]);
  const namespace = valueAt(value, ["metadata", "namespace"]);
  const shown = isName(name) ? name : "(no name)";
  return isName(namespace) ? `${namespace}/${shown}` : shown;
}
