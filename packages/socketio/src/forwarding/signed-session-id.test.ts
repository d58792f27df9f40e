import { createHmac, randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { isIssuedWith, readSessionId, signSessionId } from "./signed-session-id.ts";

const TOKEN = "aBc-_123456";

it("signs an id by HMAC-SHA-256, so that whoever has the key, and nobody else, takes it", () => {
  const [key, other] = [randomBytes(32), randomBytes(32)];
  const ids = new Set<string>();
  for (let n = 0; n < 600; n++) {
    const sid = signSessionId(TOKEN, key);
    ids.add(sid);
    expect(sid).toMatch(/^aBc-_123456\.[\w-]{20}\.[\w-]{16}$/);
    const signed = sid.slice(0, 32);
    expect(sid.slice(33)).toBe(createHmac("sha256", key).update(signed).digest("base64url").slice(0, 16));
    const id = readSessionId(sid);
    expect(id?.token).toBe(TOKEN);
    expect(id && isIssuedWith(id, key)).toBe(true);
    expect(id && isIssuedWith(id, other)).toBe(false);
    expect(id && isIssuedWith({ ...id, signed: `x${id.signed.slice(1)}` }, key)).toBe(false);
  }
  expect(ids.size).toBe(600);
});

it("makes no id for what is no node's token", () => {
  expect(() => signSessionId("short", randomBytes(32))).toThrow(RangeError);
});
