/** The YAML code blocks of a Markdown text, in order. A block inside a list item loses its fence's indentation. */
export function yamlBlocks(markdown: string): string[] {
  const blocks: string[] = [];
  for (const [, indent = "", body = ""] of markdown.matchAll(
    /^([ ]*)```ya?ml[^\n]*\n([\s\S]*?)^[ ]*```[ ]*$/gm,
  )) {
    blocks.push(body.replace(new RegExp(`^ {0,${indent.length}}`, "gm"), ""));
  }
  return blocks;
}
