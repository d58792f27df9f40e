import type { TextPosition } from "@holdfast/routing";
import { Composer, type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node } from "yaml";
import { type Problem, type ProblemCode, problem } from "./problem.ts";
import { MAX_DEPTH, yamlTokens } from "./yaml-tokens.ts";
import { isMerge, keyText, yamlValue } from "./yaml-value.ts";

type Path = readonly (string | number)[];

/** One document of a YAML text, as data, with the place of each of its fields. */
export interface YamlDocument {
  /** Undefined for an empty document. */
  readonly value: unknown;
  /** The document's first line with content, 1-based. */
  readonly line: number;
  /** The position of the value at `path`, or of its nearest existing parent. */
  locate(path: Path): TextPosition;
}

export interface YamlText {
  readonly documents: readonly YamlDocument[];
  /** At most one a document: what follows a syntax error in a document is mostly noise. */
  readonly problems: readonly Problem[];
}

/**
 * Reads a text of several YAML documents (JSON is one too). A document with a problem is left out and the others are
 * read. Never throws, whatever the text.
 */
export function readYaml(file: string, text: string): YamlText {
  const { parsed, lines, tooDeep } = parseYaml(text);
  const documents: YamlDocument[] = [];
  const problems: Problem[] = [];
  const at = (offset: number): TextPosition => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (tooDeep !== undefined) {
    problems.push(problem("YAML_TOO_COMPLEX", at(tooDeep), `nested deeper than ${MAX_DEPTH} levels`));
  }
  for (const document of parsed) {
    const error = document.errors[0];
    if (error !== undefined) {
      const { code, message, offset, fix } = explain(error, text);
      problems.push(problem(code, at(offset), message, fix ?? templateFix(text, offset)));
      continue;
    }
    const result = yamlValue(document);
    if (!result.ok) {
      const { code, message, offset } = result;
      problems.push(problem(code, at(offset), message, templateFix(text, offset)));
      continue;
    }
    const start = document.contents?.range?.[0] ?? document.range?.[0] ?? 0;
    documents.push({
      value: result.value ?? undefined,
      line: at(start).line,
      locate: (path) => at(find(document, path)),
    });
  }
  return { documents, problems };
}

/**
 * The library's own parse, with the settings that every use of it here has to share. A text that is nested too deeply
 * anywhere (`tooDeep` says where) is not composed, so it has no documents.
 */
export function parseYaml(text: string): {
  readonly parsed: readonly Document.Parsed[];
  readonly lines: LineCounter;
  readonly tooDeep: number | undefined;
} {
  const lines = new LineCounter();
  const read = yamlTokens(text, lines);
  if (!read.ok) return { parsed: [], lines, tooDeep: read.tooDeepAt };
  const composer = new Composer({
    // The library compares each key with each other one; keys are checked where they are read, in linear time.
    uniqueKeys: false,
    customTags: [KUBECTL_BOOLEAN],
    logLevel: "silent",
  });
  return { parsed: [...composer.compose(read.tokens)] as Document.Parsed[], lines, tooDeep: undefined };
}

/** kubectl reads YAML 1.1's words as booleans, and so refuses `value: yes` where a text is wanted. */
const KUBECTL_BOOLEAN = {
  tag: "tag:yaml.org,2002:bool",
  default: true,
  test: /^(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/,
  resolve: (text: string) => /^(?:yes|on)$/i.test(text),
};

/** Where the indentation of an error's line has a tab, and what comes after it; undefined where there is none. */
export function tabBefore(
  text: string,
  offset: number,
): { readonly offset: number; readonly indent: string } | undefined {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const indent = /^[ \t]*/.exec(text.slice(start, start + 1_000))?.[0] ?? "";
  const tab = indent.indexOf("\t");
  return tab === -1 ? undefined : { offset: start + tab, indent };
}

function explain(
  error: { readonly code: string; readonly message: string; readonly pos: readonly [number, number] },
  text: string,
): { code: ProblemCode; message: string; offset: number; fix?: string } {
  const offset = Math.min(error.pos[0], text.length);
  const tab = tabBefore(text, offset);
  if (tab !== undefined) {
    return {
      code: "YAML_TAB",
      message: "the line is indented with a tab; YAML allows only spaces there",
      offset: tab.offset,
      fix: "Replace the tab by spaces (2 for each level, or as the lines around it have it), or let `--mend` do it in memory.",
    };
  }
  // The library quotes the text itself, which may be that of a Secret.
  const message = error.message.replace(/: ".*"$/s, "");
  return { code: "YAML_SYNTAX", message: `not valid YAML: ${message}`, offset };
}

/** The fix where the line looks like a template of Helm's or another, which is no YAML yet. */
function templateFix(text: string, offset: number): string | undefined {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const [line = ""] = text.slice(start, start + 1_000).split("\n", 1);
  return line.includes("{{") ? "This looks like a template: render it first (`helm template`)." : undefined;
}

/** The offset of the value at `path`, following aliases, or of the deepest node on the way to it. */
function find(document: Document.Parsed, path: Path): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const key of path) {
    const target: unknown = isAlias(node) ? node.resolve(document) : node;
    const child = step(target, key);
    if (child === undefined) break;
    node = child.value;
    const range = (node as Node | null)?.range ?? (isScalar(child.key) ? child.key.range : undefined);
    offset = range?.[0] ?? offset;
  }
  return offset;
}

function step(node: unknown, key: string | number): { key: unknown; value: unknown } | undefined {
  if (isSeq(node)) {
    return typeof key === "number" && key < node.items.length ? { key, value: node.items[key] } : undefined;
  }
  if (!isMap(node)) return undefined;
  return node.items.find((pair) => !isMerge(pair.key) && keyText(pair.key) === String(key));
}
