import type { HeaderField } from "@holdfast/routing";
import { IngressError } from "../errors.ts";
import { COOKIE, FORWARDED, fieldNamed, mimicNamed, ORIGIN, OTHER, TRACE } from "./field-name.ts";
import { consistsOf, TOKEN, VALUE } from "./grammar.ts";

const SETTABLE = new Set([OTHER, COOKIE, ORIGIN, TRACE, FORWARDED]);

/** Fields that replace those of the same names: a backend service's own request or response fields, compiled. */
export class FieldSet {
  readonly #lines: string;
  /** The lines that are replaced; a name that differs in underscores alone counts as the same. */
  readonly #replaced: RegExp;

  private constructor(fields: readonly HeaderField[]) {
    this.#lines = fields.map(({ name, value }) => `${name}: ${asBytes(value)}\r\n`).join("");
    const names = fields.map(({ name }) => name.replace(/[^\w-]/g, "\\$&").replace(/[-_]/g, "[-_]"));
    this.#replaced = new RegExp(`^(?:${names.join("|")}):[^\\r]*\\r\\n`, "gim");
  }

  /**
   * @returns undefined where there are none
   * @throws IngressError `MODEL_INVALID` for a name or value that can't be written, and for the fields that the
   *   ingress writes itself: framing, `Host`, the connection's, who it speaks for
   */
  static of(fields: readonly HeaderField[]): FieldSet | undefined {
    if (fields.length === 0) return undefined;
    for (const { name, value } of fields) {
      if (name === "" || !consistsOf(TOKEN, name) || !consistsOf(VALUE, asBytes(value))) {
        throw new IngressError(
          "MODEL_INVALID",
          `the field ${JSON.stringify(name)} can't be written into a head`,
        );
      }
      const field = name.includes("_") ? mimicNamed(name, 0, name.length) : fieldNamed(name, 0, name.length);
      if (!SETTABLE.has(field)) {
        throw new IngressError("MODEL_INVALID", `the field ${name} is written by the ingress itself`);
      }
    }
    return new FieldSet(fields);
  }

  /** The field lines with these in the place of their namesakes, at the end. */
  applyTo(lines: string): string {
    return lines.replace(this.#replaced, "") + this.#lines;
  }
}

/** UTF-8, as one character a byte. */
function asBytes(value: string): string {
  return Buffer.from(value, "utf8").toString("latin1");
}
