import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { DEFAULTS } from "./read-manifests.ts";
import { SourceReader } from "./source-file.ts";

export interface WatchManifestsOptions {
  /** Called when something has changed, and has then kept still for one interval. Must neither block nor throw. */
  readonly onChange: () => void;
  /** Milliseconds between two looks. Default 500. */
  readonly intervalMs?: number;
}

export interface ManifestWatch {
  /** Looks no more. */
  close(): void;
}

/**
 * Looks again and again whether manifests have changed: a file's size, time or inode, or which files there are.
 *
 * It looks rather than listens, since what a system tells of changes depends on the file system: a volume that
 * Kubernetes makes of a ConfigMap or a Secret changes by a link far above the files. A change counts once it is over, so
 * that no half-written file is read.
 *
 * @param paths as `readManifests` takes them; `-` never changes
 * @returns once it has looked for the first time: what changes from then on is told
 */
export async function watchManifests(
  paths: readonly string[],
  options: WatchManifestsOptions,
): Promise<ManifestWatch> {
  const { onChange, intervalMs = 500 } = options;
  let told = await fingerprint(paths);
  let last = told;
  let closed = false;
  const look = async () => {
    const now = await fingerprint(paths);
    if (closed) return;
    if (now !== told && now === last) {
      told = now;
      onChange();
    }
    last = now;
    timer = setTimeout(() => void look(), intervalMs);
  };
  let timer = setTimeout(() => void look(), intervalMs);
  return {
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

async function fingerprint(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha1");
  for await (const file of new SourceReader(DEFAULTS, "", []).files(paths)) {
    // One that is gone again counts by its name.
    const found = await stat(file, { bigint: true }).catch(() => undefined);
    hash.update(`${file}\0${found?.ino}\0${found?.size}\0${found?.mtimeNs}\n`);
  }
  return hash.digest("base64");
}
