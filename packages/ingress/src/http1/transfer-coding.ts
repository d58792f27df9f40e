import type { RefusalCause } from "./refusal.ts";

/** A coding with its parameters, roughly (RFC 9112 §7): enough to tell an unknown one from nonsense. */
const CODING = /^ *[!#$%&'*+.^_`|~0-9a-z-]+ *(?:;[^,]*)?$/;

/** What is wrong with the value of a `Transfer-Encoding`; undefined for `chunked`, the only one that is read. */
export function codingFault(value: string): RefusalCause | undefined {
  const lower = value.toLowerCase();
  if (lower === "chunked") return undefined;
  let chunks = 0;
  for (const coding of lower.split(",")) {
    if (!CODING.test(coding)) return "transfer-encoding";
    if (/^ *chunked *$/.test(coding)) chunks++;
  }
  return chunks > 1 ? "transfer-encoding" : "transfer-coding";
}
