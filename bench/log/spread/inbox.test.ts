import { describe, expect, it } from "vitest";
import { composeMessage, Inbox, MESSAGE_BYTES } from "./inbox.ts";

/** Of one channel, on which these have been delivered after a probe. */
function inboxWith(...messages: readonly string[]): Inbox {
  const inbox = new Inbox(["a"]);
  for (const message of [composeMessage("a"), ...messages]) inbox.take(message);
  return inbox;
}

describe("Inbox", () => {
  it("waits for a probe on each channel", async () => {
    const inbox = new Inbox(["a", "b"]);
    const follows = inbox.follows();
    inbox.take(composeMessage("a"));
    inbox.take(composeMessage("a"));
    expect(await Promise.race([follows, Promise.resolve("waiting")])).toBe("waiting");
    inbox.take(composeMessage("b"));
    await follows;
  });

  it("waits for a message, and for those before it", async () => {
    const inbox = inboxWith(composeMessage("a", 0));
    await inbox.delivered(0);
    const delivered = inbox.delivered(1);
    inbox.take(composeMessage("a", 1));
    await delivered;
  });

  it.each([
    ["doubled", composeMessage("a", 0)],
    ["lost", composeMessage("a", 2)],
    ["of another channel", composeMessage("b", 1)],
    ["cut short", composeMessage("a", 1).slice(1)],
  ])("refuses a message that is %s", async (_what, message) => {
    await expect(inboxWith(composeMessage("a", 0), message).delivered(5)).rejects.toThrow(
      / came on a | is not for here/,
    );
  });
});

it("makes every message of the same size", () => {
  for (const number of [0, 12_345, undefined])
    expect(Buffer.byteLength(composeMessage("a", number))).toBe(MESSAGE_BYTES);
});
