import { join } from "node:path";

/** The oldest Node that Holdfast supports: the test suite runs on it too. A workspace of its own pins it. */
export const oldestNode = join(import.meta.dirname, "../test/oldest-node/node_modules/.bin/node");
