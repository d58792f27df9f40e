import type { Position } from "./port.ts";

const TEXT = /^1\.([A-Za-z0-9_-]{1,64})\.(0|[1-9][0-9]{0,15})\.([A-Za-z0-9_-]{0,16})$/;

/** A position as text: `1.<epoch>.<offset>.<tag>`. The leading 1 is the form's version. Opaque to clients. */
export function formatCursor(position: Position): string {
  return `1.${position.epoch}.${position.offset}.${position.tag}`;
}

/** Reads a cursor that came from outside; undefined when it is none. */
export function parseCursor(text: unknown): Position | undefined {
  if (typeof text !== "string") return undefined;
  const match = TEXT.exec(text);
  if (!match) return undefined;
  const [, epoch = "", digits = "", tag = ""] = match;
  const offset = Number(digits);
  return Number.isSafeInteger(offset) ? { epoch, offset, tag } : undefined;
}
