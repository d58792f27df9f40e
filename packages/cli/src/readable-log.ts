const WARN = 40;
const LEVELS: Readonly<Record<number, string>> = { 40: "warn: ", 50: "error: ", 60: "fatal: " };

/**
 * A line of a pod's log as a person reads it. Holdfast's servers, and many others, log JSON in pino's form (`level` is a
 * number, `msg` the text, `err` an error); of such a line the text remains. Any other line stays as it is.
 */
export function readableLog(line: string): string {
  if (!line.startsWith('{"level":')) return line;
  const { level, msg, err } = parse(line);
  if (typeof level !== "number" || typeof msg !== "string") return line;
  const reason = (err as { readonly message?: unknown } | undefined)?.message;
  return `${LEVELS[level] ?? ""}${msg}${level >= WARN && typeof reason === "string" ? `: ${reason}` : ""}`;
}

function parse(line: string): { readonly level?: unknown; readonly msg?: unknown; readonly err?: unknown } {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}
