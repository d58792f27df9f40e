import type { RequestCase } from "./case.ts";
import { chunks } from "./chunks.ts";
import { codings } from "./codings.ts";
import { fields } from "./fields.ts";
import { lengths } from "./lengths.ts";
import { lines } from "./lines.ts";
import { targets } from "./targets.ts";

/** Everything that a client tries, by what it tries it with. */
export const FAMILIES: [name: string, cases: readonly RequestCase[]][] = [
  ["lengths", lengths],
  ["transfer codings", codings],
  ["chunks", chunks],
  ["lines", lines],
  ["hosts and targets", targets],
  ["fields", fields],
];
