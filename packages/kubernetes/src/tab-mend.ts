import { isDeepStrictEqual } from "node:util";
import type { Mend } from "@holdfast/routing";
import { parseYaml, tabBefore } from "./yaml-text.ts";
import { yamlValue } from "./yaml-value.ts";

/**
 * A mend may take a parse of its document. Once so many characters of a file were parsed, its further documents stay
 * as they are, which keeps a hostile file cheap.
 */
const MAX_PARSED = 512 * 1_024;

interface Budget {
  left: number;
}

/**
 * Replaces tabs at the start of lines by spaces, in documents that don't parse because of them and do afterwards.
 * Tabs anywhere else (in block scalars, say) stay. Two readings of a tab are tried: the indentation of the line that
 * follows, and one of the file's own steps for each tab. Where both parse and mean different things, the tab can't
 * be mended safely and stays. Line numbers stay as they were.
 */
export function mendTabs(
  file: string,
  text: string,
): { readonly text: string; readonly mends: readonly Mend[] } {
  if (!text.includes("\t")) return { text, mends: [] };
  const { parsed, tooDeep } = parseYaml(text);
  if (tooDeep !== undefined) return { text, mends: [] };
  const step = indentStep(text);
  const budget: Budget = { left: MAX_PARSED };
  const mends: Mend[] = [];
  let mended = "";
  let firstLine = 1;
  for (const [index, document] of parsed.entries()) {
    const start = index === 0 ? 0 : (document.range?.[0] ?? 0);
    const end = parsed[index + 1]?.range?.[0] ?? text.length;
    const part = text.slice(start, end);
    const result = document.errors.length === 0 ? undefined : mendDocument(part, step, budget);
    mended += result?.text ?? part;
    for (const { line, column, before, after, next } of result?.replaced ?? []) {
      mends.push({
        what: `indentation of "${next}": ${tabs(before)} replaced by ${after.length} spaces`,
        before,
        after,
        at: { file, line: firstLine + line, column },
      });
    }
    firstLine += part.split("\n").length - 1;
  }
  return { text: mended, mends };
}

interface Replaced {
  /** 0-based, in the document's part of the text. */
  readonly line: number;
  readonly column: number;
  readonly before: string;
  readonly after: string;
  /** How the line goes on, for people. */
  readonly next: string;
}

interface MendedDocument {
  readonly text: string;
  readonly replaced: readonly Replaced[];
}

function mendDocument(text: string, step: number, budget: Budget): MendedDocument | undefined {
  const bySibling = tryMend(
    text,
    budget,
    (lines, line, indent) => siblingIndent(lines, line) ?? byStep(indent, step),
  );
  const bySteps = tryMend(text, budget, (_lines, _line, indent) => byStep(indent, step));
  // A reading that was not tried to its end might have been a second meaning.
  if (budget.left <= 0) return undefined;
  if (bySibling === undefined || bySteps === undefined) return bySibling ?? bySteps;
  return isDeepStrictEqual(valuesOf(bySibling.text), valuesOf(bySteps.text)) ? bySibling : undefined;
}

type Indent = (lines: readonly string[], line: number, indent: string) => string;

/**
 * Mends until no error is left, or the first one isn't a tab's. All lines that begin with a tab are mended at once:
 * no block scalar holds such a line. One with spaces before its tab may be a block scalar's, so those are mended one
 * by one, where the parser names them.
 */
function tryMend(text: string, budget: Budget, choose: Indent): MendedDocument | undefined {
  const replaced: Replaced[] = [];
  const lines = text.split("\n");
  const mendLine = (line: number, after: string) => {
    const [before = ""] = /^[ \t]*/.exec(lines[line] ?? "") ?? [];
    const rest = (lines[line] ?? "").slice(before.length);
    lines[line] = after + rest;
    replaced.push({ line, column: before.indexOf("\t") + 1, before, after, next: rest.trim().slice(0, 40) });
  };
  for (const [line, indent] of tabbedLines(lines)) mendLine(line, choose(lines, line, indent));
  while (budget.left > 0) {
    const current = lines.join("\n");
    budget.left -= current.length;
    const offset = firstError(current);
    if (offset === undefined) return replaced.length === 0 ? undefined : { text: current, replaced };
    const tab = tabBefore(current, offset);
    if (tab === undefined) return undefined;
    const line = current.slice(0, tab.offset).split("\n").length - 1;
    mendLine(line, choose(lines, line, tab.indent));
  }
  return undefined;
}

/** The lines that begin with a tab and have content, each with its indentation. */
function tabbedLines(lines: readonly string[]): [number, string][] {
  return lines.flatMap((content, line): [number, string][] => {
    const indent = /^\t[ \t]*(?=[^\s])/.exec(content)?.[0];
    return indent === undefined ? [] : [[line, indent]];
  });
}

function firstError(text: string): number | undefined {
  const { parsed, tooDeep } = parseYaml(text);
  let first = tooDeep;
  for (const { errors } of parsed) {
    for (const { pos } of errors) first = Math.min(first ?? pos[0], pos[0]);
  }
  return first;
}

/** The indentation of the next line with content, where that is deeper than the margin and free of tabs. */
function siblingIndent(lines: readonly string[], line: number): string | undefined {
  for (let next = line + 1; next < lines.length; next += 1) {
    const [, indent = "", content = ""] = /^([ \t]*)(.*)/.exec(lines[next] ?? "") ?? [];
    if (content === "" || content === "\r" || content.startsWith("#")) continue;
    return indent === "" || indent.includes("\t") ? undefined : indent;
  }
  return undefined;
}

function byStep(indent: string, step: number): string {
  return indent.replaceAll("\t", " ".repeat(step));
}

/** The smallest indentation by spaces that a key has in the text; 2 where there is none. */
function indentStep(text: string): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (const [, spaces = ""] of text.matchAll(/^( +)[^\s#-]/gm)) smallest = Math.min(smallest, spaces.length);
  return smallest <= 8 ? smallest : 2;
}

function valuesOf(text: string): unknown[] {
  return parseYaml(text).parsed.map(yamlValue);
}

function tabs(indent: string): string {
  const count = indent.split("\t").length - 1;
  return count === 1 ? "a tab" : `${count} tabs`;
}
