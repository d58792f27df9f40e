import { readFileSync } from "node:fs";
import { join } from "node:path";
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
  ["a range that is none", { trustedProxies: ["10.0.0.0/8", "10.0.0.0/33"] }, /10\.0\.0\.0\/33 is not an IP/],
  ["ranges that are no list", { trustedProxies: "10.0.0.0/8" }, /trustedProxies/],
  ["another way to tell decisions", { decisions: "sometimes" }, /decisions must be never, asked or always/],
  ["a part of a byte", { maxBodyBytes: 0.5 }, /maxBodyBytes must be a whole number/],
  ["no cookie key at all", { cookieKeys: [] }, /cookieKeys must not be empty/],
])("refuses %s by name", (_what, options, message) => {
  expect(() => resolveOptions(options as object)).toThrowError(
    expect.objectContaining({ code: "OPTION_INVALID", message: expect.stringMatching(message) }),
  );
});

test("docs/ingress.md has the defaults of the options that it names", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/ingress.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| [^|]+ \| ([\d,]+) \|/gm)];
  expect(rows.length).toBeGreaterThan(10);
  for (const [, name = "", value = ""] of rows) {
    expect([name, Object.entries(DEFAULTS).find(([key]) => key === name)?.[1]]).toEqual([
      name,
      Number(value.replaceAll(",", "")),
    ]);
  }
});
