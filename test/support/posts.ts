import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A YAML block of a post: which kind it declares, and its text with the list's indentation taken off. */
export interface Block {
  readonly kind: string;
  readonly text: string;
}

const seeds = join(import.meta.dirname, "../../../shared/seeds");
const fixtures = join(import.meta.dirname, "../fixtures");

/**
 * The manifests of the two posts that Holdfast began with: from the posts themselves where they lie beside the repo,
 * else from our own manifests of the same substance, so that the tests run everywhere.
 */
export function postBlocks(
  post: "2020-gke-ingress-sticky-session" | "2025-sticky-session-in-kubernetes",
): Block[] {
  const original = join(seeds, `${post}.md`);
  const texts = existsSync(original)
    ? yamlBlocks(readFileSync(original, "utf8"))
    : readFileSync(join(fixtures, `${post}.yaml`), "utf8").split(/^---\n/m);
  return texts.flatMap((text) => {
    const kind = /^kind: (\w+)$/m.exec(text)?.[1];
    return kind === undefined ? [] : [{ kind, text }];
  });
}

function yamlBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^( *)```yaml\n([\s\S]*?)^\1```/gm)].map(([, indent = "", text = ""]) =>
    text.replace(new RegExp(`^${indent}`, "gm"), ""),
  );
}
