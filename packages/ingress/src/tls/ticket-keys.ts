import { hkdfSync, type KeyObject } from "node:crypto";

/** How long one set of keys is in use, in ms. A ticket of the set before costs its client a full handshake. */
export const TICKET_KEYS_LAST_MS = 24 * 3_600_000;

/**
 * The keys of the session tickets (RFC 5077 §4) at a time. Everyone who has the secret makes the same ones, so a session
 * that began at one worker is resumed at any other; they change daily, lest one key open the tickets of months.
 *
 * @param now ms since 1970
 * @returns 48 bytes, as `tls.Server.setTicketKeys` takes them
 */
export function ticketKeys(secret: KeyObject | Uint8Array | string, now: number): Buffer {
  const period = Math.floor(now / TICKET_KEYS_LAST_MS);
  return Buffer.from(hkdfSync("sha256", secret, "", `holdfast tls session tickets ${period}`, 48));
}
