import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { MAX_LINE, readLines } from "./log-lines.ts";

async function linesOf(chunks: readonly Buffer[]): Promise<string[]> {
  const stream = new PassThrough();
  const lines: string[] = [];
  readLines(stream, (line) => lines.push(line));
  for (const chunk of chunks) stream.write(chunk);
  await new Promise<void>((resolve) => stream.once("end", resolve).end());
  return lines;
}

test("hands on whole lines, whatever pieces they come in, and an unfinished last one", async () => {
  const text = Buffer.from("one\r\ntwö\n\nlast");
  expect(await linesOf([...text].map((byte) => Buffer.from([byte])))).toEqual(["one", "twö", "", "last"]);
});

test("hands on a line without an end in pieces of bounded length", async () => {
  const lines = await linesOf([Buffer.alloc(MAX_LINE * 2 + 1, "x"), Buffer.from("\n")]);
  expect(lines.map((line) => line.length)).toEqual([MAX_LINE, MAX_LINE, 1]);
});

test("cuts a finished line that is too long just the same", async () => {
  const lines = await linesOf([Buffer.from(`${"x".repeat(MAX_LINE + 1)}\nshort\n`)]);
  expect(lines.map((line) => line.length)).toEqual([MAX_LINE, 1, 5]);
});
