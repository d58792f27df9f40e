import { fieldNamed, OTHER } from "./field-name.ts";
import { trimmed } from "./grammar.ts";

/** What `Connection` says (RFC 9110 §7.6.1). */
export interface ConnectionOptions {
  close: boolean;
  keepAlive: boolean;
  upgrade: boolean;
  /** Names of fields, in lower case, that belong to the connection and go no further. */
  named: Set<string> | undefined;
}

/**
 * These go through to the other side by their meaning. Whoever could have them taken off by naming them could
 * get rid of what a proxy before this one has added.
 */
const END_TO_END = new Set(["authorization", "cache-control", "set-cookie", "via"]);

/** Adds what one `Connection` field says to what was said before. */
export function readConnection(value: string, options: ConnectionOptions): void {
  for (let at = 0; at <= value.length; ) {
    const comma = value.indexOf(",", at);
    const end = comma === -1 ? value.length : comma;
    const option = trimmed(value, at, end).toLowerCase();
    at = end + 1;
    if (option === "close") options.close = true;
    else if (option === "keep-alive") options.keepAlive = true;
    else if (option === "upgrade") options.upgrade = true;
    else if (option !== "" && fieldNamed(option, 0, option.length) === OTHER && !END_TO_END.has(option)) {
      options.named ??= new Set();
      options.named.add(option);
    }
  }
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
