import { expect, it } from "vitest";
import { decodeMessage, encodeMessage, isShallow, MAX_DEPTH } from "./codec.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

it("gives back what was encoded", () => {
  const message = { event: "säid", data: { a: [1, null, "\u{1f600}"], "]": '"[[' } };
  expect(decodeMessage(encodeMessage(message))).toEqual({ ok: true, message });
  expect(decodeMessage(encodeMessage({ event: "e", data: undefined }))).toEqual({
    ok: true,
    message: { event: "e", data: null },
  });
});

it.each([
  ["nothing", bytes(""), "encoding"],
  ["another encoding", new Uint8Array([0x92, 1, 2]), "encoding"],
  ["an object", bytes('{"event":"e"}'), "encoding"],
  ["broken UTF-8", new Uint8Array([0x5b, 0x22, 0xff, 0x22, 0x5d]), "utf-8"],
  ["broken JSON", bytes('["e",'), "json"],
  ["too few", bytes('["e"]'), "shape"],
  ["too many", bytes('["e",1,2]'), "shape"],
  ["an event that is no text", bytes("[1,2]"), "shape"],
  ["an abyss", bytes(`["e",${nested(100_000)}]`), "depth"],
])("says what is wrong with %s, and throws nothing", (_title, input, reason) => {
  expect(decodeMessage(input)).toEqual({ ok: false, reason });
});

it("bounds the depth exactly, and counts no brackets inside of strings", () => {
  expect(isShallow(bytes(nested(MAX_DEPTH)))).toBe(true);
  expect(isShallow(bytes(nested(MAX_DEPTH + 1)))).toBe(false);
  expect(isShallow(bytes(JSON.stringify(["[".repeat(1_000), '\\"[['.repeat(200)])))).toBe(true);
});
