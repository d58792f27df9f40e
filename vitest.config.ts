import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Processes that tests start find there what an earlier one has compiled and stripped of its types: without it that is most of
// what a short process does. Node's own, told apart by content and version.
const env = { NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules/.cache/compiled") };

// A condition is waited for until it comes true: a second, vitest's own, says more of the machine than of the condition.
const patience = { setupFiles: ["test/setup/patience.ts"], expect: { poll: { timeout: 10_000 } } };

// Two projects: "unit" lives beside the code, and since its files wait more than they compute (two at a time use a third of
// two cores), three run at a time on however few cores; "system" starts real processes, so its files run one after
// another and never share the two cores with another file's processes.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          env,
          ...patience,
          include: ["packages/*/src/**/*.test.ts", "packages/*/test/**/*.test.ts", "bench/**/*.test.ts"],
          testTimeout: 20_000,
          hookTimeout: 60_000,
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: "system",
          env,
          ...patience,
          include: ["test/**/*.test.ts"],
          globalSetup: ["test/setup/chromium.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
