import { expect, it } from "vitest";
import { decodeSessionRecord, encodeSessionRecord, RECORD_BYTES } from "./session-record.ts";

const sid = "abcdefghij0123456_-Z";
const pid = "0123456789abcdefghij";
const join = { offset: 3, tag: "t", seq: 9 };
const record = {
  namespace: "/chät",
  sid,
  pid,
  rooms: [
    { room: sid, epoch: "e", join },
    { room: null, epoch: "f", join: { offset: 0, tag: "", seq: 0 } },
    { room: 'lobby "ü"', epoch: "g", join, seen: { offset: 5, tag: "u", seq: 12 } },
    { room: 7 as unknown as string, epoch: "g", join },
  ],
  left: [{ room: "old", epoch: "h", join }],
};
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

it("gives back what was written", () => {
  const data = { user: "ü", list: [1, null] };
  const encoded = encodeSessionRecord(record, JSON.stringify(data)) ?? new Uint8Array();
  expect(decodeSessionRecord(encoded)).toEqual({ ...record, data });
});

it("is not written where it is larger than a lease's value", () => {
  const space = RECORD_BYTES - (encodeSessionRecord(record, '""')?.length ?? 0);
  expect(encodeSessionRecord(record, JSON.stringify("x".repeat(space)))?.length).toBe(RECORD_BYTES);
  expect(encodeSessionRecord(record, JSON.stringify("x".repeat(space + 1)))).toBeUndefined();
});

const valid = [1, "/", sid, pid, [["r", "e", 1, "t", 2]], [], {}];
const changed = (at: number, value: unknown) => valid.map((part, index) => (index === at ? value : part));

it("reads a record that is spelled out", () => {
  expect(decodeSessionRecord(bytes(valid))).toMatchObject({ rooms: [{ room: "r", join: { seq: 2 } }] });
});

it.each<[string, unknown]>([
  ["null", null],
  ["another version", changed(0, 2)],
  ["a part too few", valid.slice(1)],
  ["a namespace that is no text", changed(1, 1)],
  ["an id that is none", changed(2, "x")],
  ["a private id that is none", changed(3, `${pid}x`)],
  ["rooms that are no list", changed(4, { length: 1 })],
  ["a room that is an object", changed(4, [[{}, "e", 1, "t", 2]])],
  ["a room without an epoch", changed(4, [["r", "", 1, "t", 2]])],
  ["a negative offset", changed(4, [["r", "e", -1, "t", 2]])],
  ["half a mark", changed(4, [["r", "e", 1, "t", 2, 3]])],
  ["a mark that is none", changed(4, [["r", "e", 1, "t", 2, 3, 4, 5]])],
  ["left rooms that are none", changed(5, [[]])],
])("takes %s for no record, and throws nothing", (_title, value) => {
  expect(decodeSessionRecord(bytes(value))).toBeUndefined();
});

it("takes bytes that are no text for no record", () => {
  expect(decodeSessionRecord(new Uint8Array([0xff, 0xfe]))).toBeUndefined();
  expect(decodeSessionRecord(new Uint8Array(RECORD_BYTES + 1))).toBeUndefined();
});
