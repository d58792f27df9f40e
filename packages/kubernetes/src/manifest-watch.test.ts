import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type ManifestWatch, watchManifests } from "./manifest-watch.ts";

const INTERVAL_MS = 10;

let folder: string;
let watch: ManifestWatch | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-watch-"));
  writeFileSync(join(folder, "one.yaml"), "kind: One\n");
});
afterEach(() => {
  watch?.close();
  rmSync(folder, { recursive: true });
});

async function begin(path = folder) {
  const onChange = vi.fn();
  watch = await watchManifests([path, "-"], { onChange, intervalMs: INTERVAL_MS });
  return onChange;
}

/** Long enough for some looks. */
const quiet = () => new Promise((resolve) => setTimeout(resolve, 8 * INTERVAL_MS));

test.each<[string, () => void]>([
  ["a file is written", () => writeFileSync(join(folder, "one.yaml"), "kind: Other\n")],
  ["a file comes", () => writeFileSync(join(folder, "two.yaml"), "kind: Two\n")],
  ["a file goes", () => rmSync(join(folder, "one.yaml"))],
  [
    "a file is replaced by one of the same size",
    () => {
      writeFileSync(join(folder, ".next"), "kind: Two\n");
      renameSync(join(folder, ".next"), join(folder, "one.yaml"));
    },
  ],
])("tells once when %s", async (_what, change) => {
  const onChange = await begin();
  expect(onChange).not.toHaveBeenCalled();
  change();
  await vi.waitFor(() => expect(onChange).toHaveBeenCalledOnce());
  await quiet();
  expect(onChange).toHaveBeenCalledOnce();
});

test("tells when a volume of Kubernetes' changes, which it does by a link", async () => {
  for (const version of ["1", "2"]) {
    mkdirSync(join(folder, `..${version}`));
    writeFileSync(join(folder, `..${version}`, "web.yaml"), `kind: V${version}\n`);
  }
  symlinkSync("..1", join(folder, "..data"));
  symlinkSync("..data/web.yaml", join(folder, "web.yaml"));
  const onChange = await begin();
  symlinkSync("..2", join(folder, "..next"));
  renameSync(join(folder, "..next"), join(folder, "..data"));
  await vi.waitFor(() => expect(onChange).toHaveBeenCalledOnce());
});

test("tells nothing of files that are no manifests", async () => {
  const onChange = await begin();
  writeFileSync(join(folder, "notes.txt"), "x");
  await quiet();
  expect(onChange).not.toHaveBeenCalled();
});

test("tells of the last state after a time of writing", async () => {
  const onChange = await begin();
  let size = 0;
  const writing = setInterval(() => writeFileSync(join(folder, "one.yaml"), "x".repeat(++size)), 1);
  await vi.waitFor(() => expect(size).toBeGreaterThan(20));
  const before = onChange.mock.calls.length;
  clearInterval(writing);
  await vi.waitFor(() => expect(onChange.mock.calls.length).toBeGreaterThan(before));
});

test("goes on when everything is gone, and tells when it is back", async () => {
  const onChange = await begin(join(folder, "one.yaml"));
  rmSync(join(folder, "one.yaml"));
  await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(1));
  writeFileSync(join(folder, "one.yaml"), "kind: One\n");
  await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(2));
});

test("tells nothing after it was closed", async () => {
  const onChange = await begin();
  watch?.close();
  rmSync(join(folder, "one.yaml"));
  await quiet();
  expect(onChange).not.toHaveBeenCalled();
});
