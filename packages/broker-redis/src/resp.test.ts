import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { describe, expect, test } from "vitest";
import { encodeCommand, RedisError, type Reply, ReplyReader } from "./resp.ts";

function read(pieces: readonly Buffer[]): Reply[] {
  const reader = new ReplyReader();
  const replies: Reply[] = [];
  for (const piece of pieces) reader.push(piece, (reply) => replies.push(reply));
  return replies;
}

describe("the reader of replies", () => {
  const bytes = Buffer.from(
    "+OK\r\n-ERR no\r\n:-12\r\n$-1\r\n*-1\r\n$0\r\n\r\n$4\r\na\r\nb\r\n*3\r\n:1\r\n*2\r\n$1\r\nx\r\n+y\r\n$2\r\n\r\n\r\n*0\r\n",
  );
  const expected = [
    "OK",
    new RedisError("ERR no"),
    -12,
    null,
    null,
    Buffer.from(""),
    Buffer.from("a\r\nb"),
    [1, [Buffer.from("x"), "y"], Buffer.from("\r\n")],
    [],
  ];

  test("reads every kind of reply", () => {
    expect(read([bytes])).toEqual(expected);
  });

  test("reads the same in whatever pieces it comes", () => {
    const seed = testSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 200; round++) {
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; ) {
        const end = at + 1 + random.below(random.pick([1, 4, 30]));
        pieces.push(bytes.subarray(at, end));
        at = end;
      }
      expect(read(pieces), `SEED=${seed}`).toEqual(expected);
    }
  });

  test.each([
    "HTTP/1.1 400 Bad Request\r\n",
    ":x\r\n",
    "$99999999999\r\n",
    "*2000000\r\n",
    `${"*1\r\n".repeat(20)}:1\r\n`,
  ])("refuses %j", (text) => {
    expect(() => read([Buffer.from(text)])).toThrow(/server/);
  });

  test("refuses a line without an end", () => {
    expect(() => read([Buffer.from(`+${"x".repeat(70_000)}`)])).toThrow("too long");
  });
});

test("a command carries text, numbers and bytes unchanged", () => {
  const command = encodeCommand(["SET", "ä", 12, Uint8Array.of(0, 13, 10, 255)]);
  expect(read([command])).toEqual([
    [Buffer.from("SET"), Buffer.from("ä"), Buffer.from("12"), Buffer.of(0, 13, 10, 255)],
  ]);
});
