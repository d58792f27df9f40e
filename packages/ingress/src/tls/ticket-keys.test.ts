import { expect, test } from "vitest";
import { TICKET_KEYS_LAST_MS, ticketKeys } from "./ticket-keys.ts";

test("are the same for all who have the secret, and others after a day or with another secret", () => {
  const now = 12 * TICKET_KEYS_LAST_MS;
  const keys = ticketKeys("secret", now);
  expect(keys).toHaveLength(48);
  expect(ticketKeys("secret", now + TICKET_KEYS_LAST_MS - 1)).toEqual(keys);
  expect(ticketKeys("secret", now + TICKET_KEYS_LAST_MS)).not.toEqual(keys);
  expect(ticketKeys("other", now)).not.toEqual(keys);
});
