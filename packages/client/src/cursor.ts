/** A place in a channel's log, as the server answers it. Epoch and tag are opaque. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
  readonly tag: string;
}

/** A position as text: `1.<epoch>.<offset>.<tag>`. */
export function formatCursor(position: Position): string {
  return `1.${position.epoch}.${position.offset}.${position.tag}`;
}

/** Whether a server's answer holds a position. */
export function isPosition(value: unknown): value is Position {
  if (typeof value !== "object" || value === null) return false;
  const { epoch, offset, tag } = value as Record<string, unknown>;
  return typeof epoch === "string" && isOffset(offset) && typeof tag === "string";
}

export function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
