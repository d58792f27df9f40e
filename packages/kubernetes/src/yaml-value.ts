import { type Document, isAlias, isMap, isScalar, isSeq, type Node } from "yaml";
import { MAX_DEPTH } from "./yaml-tokens.ts";

/**
 * A YAML document as plain data, or the first thing about it that can't be. Mappings become objects whose every key
 * is an own property (`__proto__` too), so that nothing in a manifest can reach a prototype. Aliases share what they
 * stand for; what they would amount to written out is counted, so that a small text can't mean a giant one.
 */
export type YamlValue =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false;
      readonly code: "YAML_SYNTAX" | "YAML_TOO_COMPLEX";
      readonly message: string;
      readonly offset: number;
    };

const MAX_VALUES = 1_000_000;

export function yamlValue(document: Document): YamlValue {
  try {
    return { ok: true, value: new Reader().read(document.contents, 0).value };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, code: error.code, message: error.message, offset: error.offset };
  }
}

/** Unwinds the recursion; never leaves this file. */
class Refusal extends Error {
  readonly code: "YAML_SYNTAX" | "YAML_TOO_COMPLEX";
  readonly offset: number;

  constructor(code: "YAML_SYNTAX" | "YAML_TOO_COMPLEX", node: unknown, message: string) {
    super(message);
    this.code = code;
    this.offset = offsetOf(node);
  }
}

/** A value, how many values it is with aliases written out, and how deep. */
interface Sized {
  readonly value: unknown;
  readonly size: number;
  readonly depth: number;
}

class Reader {
  /** What each anchor stands for at this point of the text; `undefined` while it is being read. */
  readonly #anchors = new Map<string, Sized | undefined>();
  #total = 0;

  read(node: Node | null, level: number): Sized {
    if (level > MAX_DEPTH)
      throw new Refusal("YAML_TOO_COMPLEX", node, `nested deeper than ${MAX_DEPTH} levels`);
    if (isAlias(node)) return this.#alias(node, level);
    const anchor = node === null ? undefined : (node as { anchor?: string }).anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    const sized = this.#plain(node, level);
    if (anchor !== undefined) this.#anchors.set(anchor, sized);
    return sized;
  }

  #plain(node: Node | null, level: number): Sized {
    this.#count(node, 1);
    if (isMap(node)) return this.#map(node.items, level);
    if (!isSeq(node)) return { value: isScalar(node) ? node.value : null, size: 1, depth: 1 };
    let size = 1;
    let depth = 0;
    const value = node.items.map((item) => {
      const sized = this.read(item as Node | null, level + 1);
      size += sized.size;
      depth = Math.max(depth, sized.depth);
      return sized.value;
    });
    return { value, size, depth: depth + 1 };
  }

  #map(pairs: readonly { readonly key: unknown; readonly value: unknown }[], level: number): Sized {
    const own = new Map<string, unknown>();
    const merged = new Map<string, unknown>();
    let size = 1;
    let depth = 0;
    for (const pair of pairs) {
      const key = keyText(pair.key);
      if (key === undefined) throw new Refusal("YAML_SYNTAX", pair.key, "a key has to be a plain text");
      const sized = this.read(pair.value as Node | null, level + 1);
      size += sized.size;
      depth = Math.max(depth, sized.depth);
      if (isMerge(pair.key)) {
        merge(merged, sized.value, pair.key);
        continue;
      }
      if (own.has(key))
        throw new Refusal("YAML_SYNTAX", pair.key, `the key "${key}" occurs twice in a mapping`);
      own.set(key, sized.value);
    }
    // What is written in the mapping itself counts before what is merged in.
    const value = Object.fromEntries(merged.size === 0 ? own : [...merged, ...own]);
    return { value, size, depth: depth + 1 };
  }

  #alias(node: Node & { source: string }, level: number): Sized {
    const sized = this.#anchors.get(node.source);
    if (sized === undefined) {
      const why = this.#anchors.has(node.source) ? "contains itself" : "has no anchor before it";
      throw new Refusal("YAML_SYNTAX", node, `the alias *${node.source} ${why}`);
    }
    if (level + sized.depth > MAX_DEPTH) {
      throw new Refusal("YAML_TOO_COMPLEX", node, `nested deeper than ${MAX_DEPTH} levels`);
    }
    this.#count(node, sized.size);
    return sized;
  }

  #count(node: unknown, size: number): void {
    this.#total += size;
    if (this.#total > MAX_VALUES) {
      throw new Refusal(
        "YAML_TOO_COMPLEX",
        node,
        `holds more than ${MAX_VALUES} values with aliases written out`,
      );
    }
  }
}

/** A scalar key as text, as JSON would have it; undefined for a mapping, a list or an alias. */
export function keyText(key: unknown): string | undefined {
  if (key === null) return "";
  if (!isScalar(key)) return undefined;
  return typeof key.value === "string" ? key.value : String(key.value);
}

export function isMerge(key: unknown): boolean {
  return isScalar(key) && key.type === "PLAIN" && key.value === "<<";
}

/** `<<: *a` or `<<: [*a, *b]`, where the earlier one counts. */
function merge(into: Map<string, unknown>, value: unknown, key: unknown): void {
  for (const source of Array.isArray(value) ? value : [value]) {
    if (typeof source !== "object" || source === null || Array.isArray(source)) {
      throw new Refusal("YAML_SYNTAX", key, "<< takes a mapping, or a list of them");
    }
    for (const [name, one] of Object.entries(source)) {
      if (!into.has(name)) into.set(name, one);
    }
  }
}

function offsetOf(node: unknown): number {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range?.[0] ?? 0;
}
