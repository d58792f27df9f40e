// Makes what is published: for each package a folder `dist` with ESM JavaScript, type declarations and a package.json
// whose entry points are those files. In the repo the entry points are the TypeScript sources.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const packages = join(root, "packages");

function toBuilt(value: unknown): unknown {
  if (typeof value === "string")
    return value.replace(/^\.\/(src|dist)\//, "./").replace(/(?<!\.d)\.ts$/, ".js");
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toBuilt(inner)]));
}

// All packages are one program, so that what they have in common is read and checked once.
const dist = join(root, "dist");
const compiled = join(dist, ".compiled");
const config = join(packages, "tsconfig.build.json");
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
writeFileSync(
  config,
  JSON.stringify({
    extends: "../tsconfig.json",
    compilerOptions: {
      noEmit: false,
      rootDir: ".",
      outDir: compiled,
      declaration: true,
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: true,
    },
    include: ["*/src"],
    exclude: ["*/src/**/*.test.ts"],
  }),
);
const built = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", config], { stdio: "inherit" });
rmSync(config);
if (built.status !== 0) process.exit(1);

for (const folder of readdirSync(packages)) {
  const source = join(packages, folder);
  const target = join(dist, folder);
  renameSync(join(compiled, folder, "src"), target);
  for (const file of readdirSync(join(source, "src"), { recursive: true, encoding: "utf8" })) {
    if (/\.[cm]?js$/.test(file)) copyFileSync(join(source, "src", file), join(target, file));
  }
  // The client's browser bundle is made by another script, on install.
  const bundle = join(source, "dist");
  if (existsSync(bundle)) cpSync(bundle, target, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  const { exports, bin, ...rest } = manifest;
  writeFileSync(
    join(target, "package.json"),
    `${JSON.stringify({ ...rest, ...(bin && { bin: toBuilt(bin) }), exports: toBuilt(exports) }, null, 2)}\n`,
  );
  copyFileSync(join(root, "LICENSE"), join(target, "LICENSE"));
}
rmSync(compiled, { recursive: true });
