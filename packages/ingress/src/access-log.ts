import { printable as withoutControls } from "@holdfast/routing";
import type { IngressEvent } from "./events.ts";

/** An event as one line for people. Whatever a client chose is quoted, so that it can't forge a line. */
export function formatEvent(event: IngressEvent): string {
  switch (event.type) {
    case "request": {
      const to =
        event.backendService === undefined ? "" : ` -> ${event.backendService} ${event.pod ?? "no pod"}`;
      const why = event.reason === undefined ? "" : ` (${event.reason})`;
      const end = event.outcome === "answered" ? "" : ` ${event.outcome}`;
      const tries = event.tries > 1 ? ` tries=${event.tries}` : "";
      const what = `${event.method} ${printable(event.host)}${printable(event.path)}`;
      return `${event.loadBalancer} ${event.client} ${what}${to}${why} ${event.status}${end}${tries} ${event.ms.toFixed(1)}ms`;
    }
    case "upgrade-closed":
      return `${event.loadBalancer} ${event.client} upgrade -> ${event.backendService} ${event.pod} closed by ${event.cause} after ${(event.ms / 1000).toFixed(1)}s`;
    case "endpoint-down":
      return `${event.backendService} ${event.pod} ${event.endpoint} can't be reached (${event.cause}); passed over for ${event.ms / 1000}s`;
    case "endpoint-up":
      return `${event.backendService} ${event.pod} ${event.endpoint} is used again (${event.cause})`;
    case "endpoint-healthy":
      return `${event.backendService} ${event.pod} ${event.endpoint} is healthy`;
    case "endpoint-unhealthy":
      return `${event.backendService} ${event.pod} ${event.endpoint} is unhealthy: ${withoutControls(event.cause)}`;
    case "refused":
      return `${event.loadBalancer} ${event.client} refused: ${event.cause}${event.detail === undefined ? "" : ` (${event.detail})`}${event.status === 0 ? "" : ` ${event.status}`}`;
  }
}

/** Characters of a text in a line of JSON; a client may choose longer ones. */
const MAX_JSON_TEXT = 1_024;

/**
 * An event as one line of JSON for programs: `time` (UTC, ISO 8601) and the event's own fields, in printable ASCII. The
 * fields are described in docs/access-log.md. Neither a query nor a cookie is ever among them.
 */
export function eventJson(event: IngressEvent, time: Date = new Date()): string {
  const line = JSON.stringify({ time: time.toISOString(), ...event }, (_key, value: unknown) => {
    if (typeof value === "number") return Math.round(value * 1000) / 1000;
    if (typeof value !== "string" || value.length <= MAX_JSON_TEXT) return value;
    return `${value.slice(0, MAX_JSON_TEXT)}...`;
  });
  return line.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Percent-encodes what is not printable ASCII, and cuts what is too long for a line. */
function printable(text: string): string {
  const cut = text.length > 256 ? `${text.slice(0, 256)}...` : text;
  return cut.replace(/[^\x21-\x7e]/g, (character) => encodeURIComponent(character.toWellFormed()));
}
