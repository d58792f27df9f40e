import { type CST, Lexer, type LineCounter, Parser } from "yaml";

/** Levels of mappings and lists within each other; no manifest has a tenth of it. */
export const MAX_DEPTH = 100;

/** The tokens of a text, or where it nests deeper than {@link MAX_DEPTH}. */
export type YamlTokens =
  | { readonly ok: true; readonly tokens: readonly CST.Token[] }
  | { readonly ok: false; readonly tooDeepAt: number };

/**
 * Reads a text as far as tokens, which takes no recursion, and stops where it nests too deeply. The library's composer,
 * which comes after this, recurses until the stack is used up, and a regular expression that V8 compiles at that moment
 * ends the process, whatever is caught.
 */
export function yamlTokens(text: string, lines: LineCounter): YamlTokens {
  const tokens: CST.Token[] = [];
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    // The stack holds what is being read: a document, its collections, and at most a scalar.
    if (parser.stack.length <= MAX_DEPTH) continue;
    const open = parser.stack.filter(isCollection);
    const deepest = open.at(-1);
    if (deepest && open.length > MAX_DEPTH) return { ok: false, tooDeepAt: deepest.offset };
  }
  for (const token of parser.end()) tokens.push(token);
  return { ok: true, tokens };
}

function isCollection({ type }: CST.Token): boolean {
  return type === "block-map" || type === "block-seq" || type === "flow-collection";
}
