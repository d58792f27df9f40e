import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const packages = readdirSync(join(root, "packages"));

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

function nameOf(folder: string): string {
  return JSON.parse(read(`packages/${folder}/package.json`)).name;
}

/** The house as docs/architecture.md draws it: package folder to the folders that it may import. */
function houseOfTheDocs(): Map<string, readonly string[]> {
  const table = read("docs/architecture.md").split("## The house")[1]?.split("\n## ")[0] ?? "";
  const rows = [...table.matchAll(/^\| `([a-z-]+)` \|[^|]*\| ([^|]*) \|$/gm)];
  return new Map(
    rows.map(([, folder = "", imports = ""]) => [
      folder,
      imports === "all" ? packages : [...imports.matchAll(/`([a-z-]+)`/g)].map(([, name = ""]) => name),
    ]),
  );
}

function sourcesOf(folder: string): string[] {
  const files = readdirSync(join(root, "packages", folder, "src"), { recursive: true, encoding: "utf8" });
  return files.filter((file) => /\.(ts|cjs|js|mjs)$/.test(file) && !/\.test\.ts$/.test(file));
}

function importsOf(folder: string): Set<string> {
  const found = new Set<string>();
  for (const file of sourcesOf(folder)) {
    const text = read(`packages/${folder}/src/${file}`);
    for (const [, name = ""] of text.matchAll(
      /(?:(?<!\.)\bfrom|\bimport|\bimport\.meta\.resolve\()\s*\(?"([^".][^"]*)"/g,
    ))
      found.add(name);
  }
  return found;
}

test("docs/architecture.md names every package, and no other", () => {
  expect([...houseOfTheDocs().keys()].sort()).toEqual([...packages].sort());
});

test.each(packages)("packages/%s imports only what the house allows", (folder) => {
  const allowed = new Set((houseOfTheDocs().get(folder) ?? []).map(nameOf).concat(nameOf(folder)));
  const ours = [...importsOf(folder)].filter((name) => /^(@holdfast\/|holdfast$)/.test(name));
  const names = ours.map((name) => (name.startsWith("@") ? name.split("/").slice(0, 2).join("/") : name));
  expect(names.filter((name) => !allowed.has(name))).toEqual([]);
});

test.each(packages)("packages/%s imports no file of another package", (folder) => {
  const outside = sourcesOf(folder).flatMap((file) =>
    [
      ...read(`packages/${folder}/src/${file}`).matchAll(
        /(?:\bfrom|\bimport|\bnew URL\()\s*\(?"(\.\.[^"]*)"/g,
      ),
    ]
      .map(([, path = ""]) => join(dirname(file), path))
      .filter((path) => path.startsWith("..")),
  );
  expect(outside).toEqual([]);
});

test.each(packages)("packages/%s declares every package that it imports, and no other", (folder) => {
  const manifest = JSON.parse(read(`packages/${folder}/package.json`));
  const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  const imported = [...importsOf(folder)]
    .filter((name) => !name.startsWith("node:"))
    .map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/"))
    .filter((name) => name !== manifest.name);
  expect([...new Set(imported)].sort()).toEqual(declared.sort());
});

test("docs/dependencies.md gives a reason and a licence for each package from outside, and names no other", () => {
  const manifests = ["package.json", ...packages.map((folder) => `packages/${folder}/package.json`)].map(
    (path) => JSON.parse(read(path)),
  );
  const outside = manifests
    .flatMap((manifest) =>
      Object.keys({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies }),
    )
    .filter((name) => !name.startsWith("@holdfast/"));
  const rows = [
    ...read("docs/dependencies.md").matchAll(/^\| `([^`]+)` \| [^|]{10,} \| [A-Za-z0-9. -]+ \|$/gm),
  ];
  expect(rows.map(([, name]) => name).sort()).toEqual([...new Set(outside)].sort());
});

test("npm scripts run on the Node that the repo pins", () => {
  const pinned = JSON.parse(read("node_modules/node/package.json")).version;
  expect(process.version).toBe(`v${pinned}`);
});
