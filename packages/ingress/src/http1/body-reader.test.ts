import { expect, test } from "vitest";
import { BodyReader } from "./body-reader.ts";
import { MAX_EXTENSION_BYTES, MAX_TRAILER_BYTES } from "./chunk-framing.ts";
import { CHUNKED } from "./request-head.ts";
import { UNTIL_CLOSE } from "./response-head.ts";

function readerOf(body: number): BodyReader {
  const reader = new BodyReader();
  reader.begin(body);
  return reader;
}

test("ends a body of a length there, and leaves what follows", () => {
  const reader = readerOf(5);
  expect(reader.read(Buffer.from("hel"))).toBe(3);
  expect(reader).toMatchObject({ done: false, wholeAtEnd: false, payload: 3 });
  expect(reader.read(Buffer.from("__loGET /"), 2)).toBe(4);
  expect(reader).toMatchObject({ done: true, wholeAtEnd: true, payload: 5 });
  expect(reader.read(Buffer.from("x"))).toBe(0);
});

test("an empty body is over at once", () => {
  expect(readerOf(0)).toMatchObject({ done: true, payload: 0 });
});

test("a body until the connection's end takes everything, and is whole then", () => {
  const reader = readerOf(UNTIL_CLOSE);
  expect(reader.read(Buffer.from("anything\r\n\r\n"))).toBe(12);
  expect(reader).toMatchObject({ done: false, wholeAtEnd: true, payload: 12 });
});

test("finds the end of chunks wherever they are cut, and hands out the data without them", () => {
  const text = '5\r\nhello\r\n1;a=b;c="\\"\r\n\r\n'.replace("\r\n\r\n", '"\r\n!\r\n');
  const body = `${text}00\r\nX-T: 1\r\n\r\n`;
  for (let cut = 0; cut <= body.length; cut++) {
    const reader = readerOf(CHUNKED);
    let data = "";
    const sink = (bytes: Buffer, at: number, end: number) => {
      data += bytes.toString("latin1", at, end);
    };
    const first = Buffer.from(body.slice(0, cut));
    const second = Buffer.from(`${body.slice(cut)}GET`);
    expect(reader.read(first, 0, first.length, sink)).toBe(first.length);
    expect(reader.read(second, 0, second.length, sink)).toBe(second.length - 3);
    expect(reader).toMatchObject({ done: true, fault: undefined, payload: 6 });
    expect(data).toBe("hello!");
  }
});

test("is ready for the next body after a whole one, a broken one and a faulty one", () => {
  const reader = new BodyReader();
  for (const text of ["0\r\n\r\n", "5;a=b\r\nhel", "x", "1\r\n!\r\n0\r\nX: ", "0\r\n\r\n"]) {
    reader.begin(CHUNKED);
    expect(reader).toMatchObject({ done: false, fault: undefined, payload: 0 });
    reader.read(Buffer.from(text));
  }
  expect(reader.done).toBe(true);
  reader.begin(3);
  expect(reader.read(Buffer.from("abcd"))).toBe(3);
});

test("reads nothing more once something was wrong", () => {
  const reader = readerOf(CHUNKED);
  reader.read(Buffer.from("5\r\nhelloXX"));
  expect(reader).toMatchObject({ fault: "chunk-end", done: false, wholeAtEnd: false });
  expect(reader.read(Buffer.from("\r\n0\r\n\r\n"))).toBe(0);
  expect(reader.done).toBe(false);
});

test.each([
  ["extensions", `1;${"a".repeat(MAX_EXTENSION_BYTES - 1)}\r\n!\r\n0\r\n\r\n`, undefined],
  ["extensions", `1;${"a".repeat(MAX_EXTENSION_BYTES)}\r\n!\r\n0\r\n\r\n`, "chunk-extension"],
  ["trailers", `0\r\nX:${"a".repeat(MAX_TRAILER_BYTES - 5)}\r\n\r\n`, undefined],
  ["trailers", `0\r\nX:${"a".repeat(MAX_TRAILER_BYTES - 4)}\r\n\r\n`, "trailers-too-large"],
])("takes so many bytes of %s, and no more", (_what, body, fault) => {
  const reader = readerOf(CHUNKED);
  reader.read(Buffer.from(body));
  expect(reader.fault).toBe(fault);
  expect(reader.done).toBe(fault === undefined);
});
