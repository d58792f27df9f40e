import { isChannelName, type Position, parseCursor } from "@holdfast/broker";
import { wireError } from "./errors.ts";
import { RESERVED_PREFIX, type WireError } from "./wire.ts";

export type ChannelRequest =
  | { readonly ok: true; readonly channel: string; readonly cursor: unknown }
  | { readonly ok: false; readonly error: WireError };

/** Checks what a client sent with a subscribe or unsubscribe. */
export function readRequest(payload: unknown): ChannelRequest {
  if (typeof payload !== "object" || payload === null || Array.isArray(payload))
    return refuse("REQUEST_INVALID");
  const { channel, cursor } = payload as Record<string, unknown>;
  if (typeof channel !== "string") return refuse("REQUEST_INVALID");
  if (cursor !== undefined && cursor !== null && typeof cursor !== "string") return refuse("REQUEST_INVALID");
  if (!isChannelName(channel)) return refuse("CHANNEL_INVALID");
  if (channel.startsWith(RESERVED_PREFIX)) return refuse("CHANNEL_RESERVED");
  return { ok: true, channel, cursor };
}

/**
 * The position to resume after. Text that is no cursor becomes a position of no log, which the log then refuses like
 * any other that it can't continue from: it may be of a form that a later version writes.
 */
export function readCursor(cursor: unknown): Position | undefined {
  if (cursor === undefined || cursor === null) return undefined;
  return parseCursor(cursor) ?? { epoch: "unknown", offset: 0, tag: "" };
}

function refuse(code: Parameters<typeof wireError>[0]): ChannelRequest {
  return { ok: false, error: wireError(code) };
}
