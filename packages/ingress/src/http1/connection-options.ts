import { fieldNamed, OTHER } from "./field-name.ts";
import { trimmed } from "./grammar.ts";

/** What `Connection` says (RFC 9110 §7.6.1): a sum of these. */
export const CLOSE = 1;
export const KEEP_ALIVE = 2;
export const UPGRADES = 4;
/** It names fields that belong to the connection and go no further. */
export const NAMES = 8;

/**
 * These go through to the other side by their meaning. Whoever could have them taken off by naming them could
 * get rid of what a proxy before this one has added.
 */
const END_TO_END = new Set(["authorization", "cache-control", "set-cookie", "via"]);

/** What the value of one `Connection` field says. */
export function connectionOptions(value: string): number {
  // What nearly everybody sends.
  if (value === "keep-alive") return KEEP_ALIVE;
  if (value === "close") return CLOSE;
  if (value === "Upgrade") return UPGRADES;
  return optionsOf(value);
}

/** Adds the names of fields in the value of one `Connection` field, in lower case. */
export function addNames(value: string, names: Set<string>): void {
  optionsOf(value, names);
}

function optionsOf(value: string, names?: Set<string>): number {
  let options = 0;
  for (let at = 0; at <= value.length; ) {
    const comma = value.indexOf(",", at);
    const end = comma === -1 ? value.length : comma;
    const option = trimmed(value, at, end).toLowerCase();
    at = end + 1;
    if (option === "close") options |= CLOSE;
    else if (option === "keep-alive") options |= KEEP_ALIVE;
    else if (option === "upgrade") options |= UPGRADES;
    else if (option !== "" && fieldNamed(option, 0, option.length) === OTHER && !END_TO_END.has(option)) {
      options |= NAMES;
      names?.add(option);
    }
  }
  return options;
}

/** The field lines less those with these names. */
export function without(fields: string, names: ReadonlySet<string>): string {
  let kept = "";
  for (let at = 0; at < fields.length; ) {
    const next = fields.indexOf("\r\n", at) + 2;
    const name = fields.slice(at, fields.indexOf(":", at)).toLowerCase();
    if (!names.has(name)) kept += fields.slice(at, next);
    at = next;
  }
  return kept;
}
