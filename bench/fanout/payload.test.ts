import { describe, expect, it } from "vitest";
import { composePayload, PAYLOAD_BYTES, readNumber, readSentAt, sharedClock } from "./payload.ts";

describe("payload", () => {
  it("has its length in bytes, in JSON too", () => {
    const payload = composePayload(7, sharedClock());
    expect(Buffer.byteLength(payload)).toBe(PAYLOAD_BYTES);
    expect(Buffer.byteLength(JSON.stringify(payload))).toBe(PAYLOAD_BYTES + 2);
  });

  it("is read back from the middle of a frame", () => {
    const sentAt = sharedClock();
    const prefix = '42["message","';
    const frame = Buffer.from(`${prefix}${composePayload(1_234_567, sentAt)}"]`);
    expect(readNumber(frame, prefix.length)).toBe(1_234_567);
    expect(readSentAt(frame, prefix.length)).toBe(sentAt);
  });

  it.each([-1, 0, 3, 5000])("is not found at %d where there is none", (start) => {
    expect(readNumber(Buffer.from('42["something else entirely"]'), start)).toBeNaN();
  });
});
