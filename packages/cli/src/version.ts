import { readFileSync } from "node:fs";

/** This package's version. Its package.json lies one folder up from the sources, and beside the built files. */
export const version: string = readVersion("../package.json") ?? readVersion("./package.json") ?? "unknown";

function readVersion(relative: string): string | undefined {
  try {
    const manifest = JSON.parse(readFileSync(new URL(relative, import.meta.url), "utf8"));
    return manifest.name === "holdfast" ? String(manifest.version) : undefined;
  } catch {
    return undefined;
  }
}
