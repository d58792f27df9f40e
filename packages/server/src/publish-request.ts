import { isChannelName } from "@holdfast/broker";
import { isShallow, MAX_DEPTH, type Message } from "@holdfast/hub";
import { RESERVED_PREFIX } from "@holdfast/socketio";
import { ApiError } from "./api-errors.ts";

const MAX_EVENT_CHARACTERS = 200;
const MAX_KEY_CHARACTERS = 256;

/** Socket.IO's own event names, on either side ("Emit cheatsheet", reserved events). */
const RESERVED_EVENTS = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

/** @throws ApiError `CHANNEL_MISSING`, `CHANNEL_INVALID`, `CHANNEL_RESERVED` */
export function readChannel(name: string): string {
  if (name === "") throw new ApiError("CHANNEL_MISSING");
  if (!isChannelName(name)) throw new ApiError("CHANNEL_INVALID");
  if (name.startsWith(RESERVED_PREFIX)) throw new ApiError("CHANNEL_RESERVED");
  return name;
}

/** @throws ApiError `IDEMPOTENCY_KEY_INVALID` */
export function readIdempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== "string" || header === "" || header.length > MAX_KEY_CHARACTERS) {
    throw new ApiError("IDEMPOTENCY_KEY_INVALID");
  }
  return header;
}

/** @throws ApiError `BODY_INVALID_JSON`, `BODY_INVALID` */
export function parseBody(bytes: Uint8Array): unknown {
  if (!isShallow(bytes)) throw new ApiError("BODY_INVALID", `it is nested deeper than ${MAX_DEPTH}`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new ApiError("BODY_INVALID_JSON", error instanceof SyntaxError ? error.message : undefined, error);
  }
}

/** @throws ApiError `BODY_INVALID` that names the field, `EVENT_RESERVED` */
export function readMessage(body: unknown): Message {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw new ApiError("BODY_INVALID");
  const stranger = Object.keys(body).find((key) => key !== "event" && key !== "data");
  if (stranger !== undefined)
    throw new ApiError("BODY_INVALID", `${stranger.slice(0, 100)} is no field of it`);
  const { event, data } = body as Record<string, unknown>;
  if (!Object.hasOwn(body, "event")) throw new ApiError("BODY_INVALID", "event is missing");
  if (!Object.hasOwn(body, "data")) throw new ApiError("BODY_INVALID", "data is missing; it may be null");
  if (typeof event !== "string" || event === "" || event.length > MAX_EVENT_CHARACTERS) {
    throw new ApiError("BODY_INVALID", `event must be a string of 1 to ${MAX_EVENT_CHARACTERS} characters`);
  }
  if (RESERVED_EVENTS.has(event) || event.startsWith(RESERVED_PREFIX))
    throw new ApiError("EVENT_RESERVED", event);
  return { event, data };
}
