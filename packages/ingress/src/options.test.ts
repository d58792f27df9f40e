import { expect, test } from "vitest";
import { DEFAULTS, resolveOptions } from "./options.ts";

test("takes the defaults where nothing is given", () => {
  expect(resolveOptions({})).toEqual(DEFAULTS);
});

test.each([
  ["an unknown option", { retries: 3 }, /no option retries; it has .*maxTries/],
  ["an inherited name", { constructor: 1 }, /no option constructor/],
  ["a negative number", { maxTries: -1 }, /maxTries must be a whole number/],
  ["a text", { maxTries: "3" }, /maxTries must be a whole number/],
  ["a listener that is none", { onEvent: 1 }, /onEvent must be a function/],
  ["a hook that is none", { askOthers: {} }, /askOthers must be a function/],
  [
    "a secret that is too short",
    { cookieKeys: [{ id: "a", secret: "x" }] },
    /cookieKeys must each have a secret/,
  ],
  ["no cookie key at all", { cookieKeys: [] }, /cookieKeys must not be empty/],
])("refuses %s by name", (_what, options, message) => {
  expect(() => resolveOptions(options as object)).toThrowError(
    expect.objectContaining({ code: "OPTION_INVALID", message: expect.stringMatching(message) }),
  );
});
