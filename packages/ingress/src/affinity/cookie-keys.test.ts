import { expect, test } from "vitest";
import { type CookieKey, randomCookieKey, readCookieKeys } from "./cookie-keys.ts";

const secret = "s".repeat(32);

test("takes texts and bytes, and reads the same secret the same way", () => {
  const [text] = readCookieKeys([{ id: "a", secret }]);
  const [bytes] = readCookieKeys([{ id: "a", secret: Buffer.from(secret) }]);
  expect(bytes.signatures.equals(text.signatures)).toBe(true);
  expect(bytes.tokens.equals(text.tokens)).toBe(true);
  expect(text.tokens.equals(text.signatures)).toBe(false);
});

test("draws another key each time, which can be read", () => {
  const keys = readCookieKeys([randomCookieKey(), randomCookieKey()]);
  expect(keys[1]?.signatures.equals(keys[0].signatures)).toBe(false);
});

test.each([
  ["no key", []],
  ["too many", Array.from({ length: 17 }, (_, index) => ({ id: `k${index}`, secret }))],
  ["a secret that is too short", [{ id: "a", secret: "shortsecret" }]],
  ["no secret", [{ id: "a" }]],
  ["an id that would end the value", [{ id: "a.b", secret }]],
  [
    "one id twice",
    [
      { id: "a", secret },
      { id: "a", secret: "t".repeat(32) },
    ],
  ],
  ["something else than a key", [null]],
])("refuses %s, and never quotes a secret", (_what, keys) => {
  expect(() => readCookieKeys(keys as CookieKey[])).toThrowError(
    expect.objectContaining({
      code: "OPTION_INVALID",
      message: expect.not.stringMatching(/shortsecret|ssss/),
    }),
  );
});
