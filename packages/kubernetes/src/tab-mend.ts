import { isDeepStrictEqual } from "node:util";
import type { Mend } from "@holdfast/routing";
import { parseYaml, tabBefore } from "./yaml-text.ts";
import { yamlValue } from "./yaml-value.ts";

/** Each mend is a parse of its document, so both bounds keep a hostile file cheap. */
const MAX_MENDS = 200;
const MAX_DOCUMENT_LENGTH = 256 * 1_024;

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
  const { parsed } = parseYaml(text);
  const step = indentStep(text);
  const mends: Mend[] = [];
  let mended = "";
  let firstLine = 1;
  for (const [index, document] of parsed.entries()) {
    const start = index === 0 ? 0 : (document.range?.[0] ?? 0);
    const end = parsed[index + 1]?.range?.[0] ?? text.length;
    const part = text.slice(start, end);
    const result = document.errors.length === 0 ? undefined : mendDocument(part, step);
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

function mendDocument(text: string, step: number): MendedDocument | undefined {
  if (text.length > MAX_DOCUMENT_LENGTH) return undefined;
  const bySibling = tryMend(
    text,
    (lines, line, indent) => siblingIndent(lines, line) ?? byStep(indent, step),
  );
  const bySteps = tryMend(text, (_lines, _line, indent) => byStep(indent, step));
  if (bySibling === undefined || bySteps === undefined) return bySibling ?? bySteps;
  return isDeepStrictEqual(valuesOf(bySibling.text), valuesOf(bySteps.text)) ? bySibling : undefined;
}

type Indent = (lines: readonly string[], line: number, indent: string) => string;

/** Mends the first error's line again and again, until no error is left or the first one isn't a tab. */
function tryMend(text: string, choose: Indent): MendedDocument | undefined {
  const replaced: Replaced[] = [];
  let current = text;
  while (replaced.length <= MAX_MENDS) {
    const offsets = parseYaml(current).parsed.flatMap(({ errors }) => errors.map(({ pos }) => pos[0]));
    if (offsets.length === 0) return replaced.length === 0 ? undefined : { text: current, replaced };
    const offset = Math.min(...offsets.slice(0, 1_000));
    const tab = tabBefore(current, offset);
    if (tab === undefined) return undefined;
    const lines = current.split("\n");
    const line = current.slice(0, tab.offset).split("\n").length - 1;
    const content = lines[line] ?? "";
    const rest = content.slice(tab.indent.length);
    const after = choose(lines, line, tab.indent);
    lines[line] = after + rest;
    current = lines.join("\n");
    replaced.push({
      line,
      column: tab.indent.indexOf("\t") + 1,
      before: tab.indent,
      after,
      next: rest.trim().slice(0, 40),
    });
  }
  return undefined;
}

/** The indentation of the next line with content, where that is deeper than the margin and free of tabs. */
function siblingIndent(lines: readonly string[], line: number): string | undefined {
  for (const next of lines.slice(line + 1)) {
    const [, indent = "", content = ""] = /^([ \t]*)(.*)/.exec(next) ?? [];
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
