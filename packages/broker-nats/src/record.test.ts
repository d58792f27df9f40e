import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import {
  decodeRecord,
  encodeRecord,
  entriesOf,
  headOf,
  milestonesAfter,
  type Record,
  seqOfTag,
} from "./record.ts";

const RECORD: Record = {
  id: "id",
  epoch: "epoch",
  offset: 255,
  before: "abcd1z",
  previous: 71,
  time: 1_700_000_000_000,
  first: 1,
  retention: { maxEntries: 10, maxAgeMs: 1000 },
  bytes: 3,
  milestones: [{ offset: 1, seq: 2, bytes: 0 }],
  claims: [[1, "claim"]],
  entries: [
    { salt: "AAAA", data: new Uint8Array([1, 2, 3]) },
    { salt: "-_09", data: new Uint8Array() },
  ],
};

test("is read as it was written", () => {
  expect(decodeRecord(encodeRecord(RECORD), 100)).toEqual({ ...RECORD, seq: 100 });
});

test("gives each entry an offset, a place and a tag that says where to read it", () => {
  const stored = { ...RECORD, seq: 100 };
  const [one, two] = entriesOf(stored);
  expect([one?.offset, two?.offset]).toEqual([255, 256]);
  expect(two?.seq).toBe((one?.seq ?? 0) + 1);
  expect(seqOfTag(one?.tag ?? "")).toBe(100);
  expect(headOf(stored)).toEqual({ epoch: "epoch", offset: 256, tag: two?.tag });
  expect(headOf({ ...stored, entries: [] })).toEqual({ epoch: "epoch", offset: 254, tag: "abcd1z" });
});

test("becomes a milestone when it passes one", () => {
  const stored = { ...RECORD, seq: 100, milestones: [1, 2, 3].map((seq) => ({ offset: 1, seq, bytes: 0 })) };
  expect(milestonesAfter(stored).map(({ seq }) => seq)).toEqual([100, 2, 3]);
  expect(milestonesAfter({ ...stored, offset: 10 }).map(({ seq }) => seq)).toEqual([1, 2, 3]);
});

test("is refused when its bytes were damaged in any way that shows, and never throws", () => {
  const seed = testSeed();
  const random = seededRandom(seed);
  const whole = encodeRecord(RECORD);
  for (let length = 0; length < whole.length; length++)
    expect(decodeRecord(whole.subarray(0, length), 1)).toBeUndefined();
  expect(decodeRecord(Buffer.concat([whole, Buffer.from([0])]), 1)).toBeUndefined();
  for (let n = 0; n < 2000; n++) {
    const damaged = new Uint8Array(whole);
    for (let k = random.below(4); k >= 0; k--) damaged[random.below(damaged.length)] = random.below(256);
    const record = decodeRecord(damaged, 1);
    if (record) expect(record.entries.length, `SEED=${seed}`).toBe(2);
  }
});
