// Bundles the client for pages without a bundler of their own: the socket server serves the result as
// /holdfast/client.js. Runs on install, so that a fresh checkout starts without a build step.
import { build } from "esbuild";

await build({
  entryPoints: ["packages/client/src/mod.ts"],
  outfile: "packages/client/dist/holdfast.js",
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  minify: true,
  sourcemap: true,
  logLevel: "warning",
});
