import { isChannelName, type Lease } from "@holdfast/broker";
import { HubError } from "../errors.ts";

/** One connection that is present in a channel. */
export interface PresentMember {
  /** The connection's own name, once in its channel: 1 to 200 characters, as a channel's name. A Socket.IO socket's id is one. */
  readonly connection: string;
  /** Who it is; the same user may be there with several connections. 1 to 256 characters. */
  readonly user: string;
  /** Any JSON value, for people who look at the list. At most 8 KiB as JSON text together with the user. */
  readonly info: unknown;
}

const MAX_USER_CHARACTERS = 256;
const MAX_BYTES = 8_192;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** @throws HubError `PRESENCE_INVALID` */
export function encodeMember({ connection, user, info }: PresentMember): Uint8Array {
  if (!isChannelName(connection)) throw new HubError("PRESENCE_INVALID", "connection is no name");
  if (typeof user !== "string" || user === "" || user.length > MAX_USER_CHARACTERS)
    throw new HubError("PRESENCE_INVALID", `user must have 1 to ${MAX_USER_CHARACTERS} characters`);
  let text: string;
  try {
    text = JSON.stringify([user, info ?? null]);
  } catch (error) {
    throw new HubError("PRESENCE_INVALID", `info is no JSON value: ${(error as Error).message}`);
  }
  const bytes = encoder.encode(text);
  if (bytes.length > MAX_BYTES)
    throw new HubError("PRESENCE_INVALID", `user and info have ${bytes.length} bytes, of ${MAX_BYTES}`);
  return bytes;
}

/** Undefined for a record that another program wrote and that is none. */
export function decodeMember({ key, value }: Lease): PresentMember | undefined {
  if (value.length > MAX_BYTES) return undefined;
  try {
    const read: unknown = JSON.parse(decoder.decode(value));
    if (!Array.isArray(read) || read.length !== 2 || typeof read[0] !== "string") return undefined;
    return { connection: key, user: read[0], info: read[1] };
  } catch {
    return undefined;
  }
}
