import { formatPosition, printable } from "@holdfast/routing";
import type { Style } from "./style.ts";

/** Something to tell a person: what is wrong, where, and what to do. Errors, problems and findings all become one. */
export interface Complaint {
  readonly severity: "error" | "warning" | "info";
  readonly code: string;
  /** What it is about, such as `Deployment default/chat`. */
  readonly object?: string | undefined;
  readonly message: string;
  readonly at?: { readonly file: string; readonly line?: number; readonly column?: number } | undefined;
  readonly fix?: string | undefined;
}

/** `file:line:column: error CODE: what`, and the fix on a line of its own. */
export function formatComplaint(complaint: Complaint, style: Style): string {
  const { severity, code, object, message, at, fix } = complaint;
  const place = at ? `${formatPosition(at)}: ` : "";
  const colour = severity === "error" ? "red" : severity === "warning" ? "yellow" : "cyan";
  const head = `${style("bold", fit(place))}${style(colour, severity)} ${code}: `;
  const what = fit(object === undefined ? message : `${object}: ${message}`);
  return fix === undefined ? head + what : `${head + what}\n  ${style("dim", "fix:")} ${fit(fix)}`;
}

/** Any error as a complaint; where it says more than a message, that is kept. */
export function complaintOf(error: unknown): Complaint {
  if (!(error instanceof Error)) return { severity: "error", code: "INTERNAL", message: String(error) };
  const { code, fix } = error as { readonly code?: unknown; readonly fix?: unknown };
  return {
    severity: "error",
    code: typeof code === "string" ? code : "INTERNAL",
    message: typeof code === "string" ? error.message : (error.stack ?? error.message),
    fix: typeof fix === "string" ? fix : undefined,
  };
}

/** Each line fit for a terminal; the message of an error with its stack has several. */
function fit(text: string): string {
  return text.split("\n").map(printable).join("\n");
}
