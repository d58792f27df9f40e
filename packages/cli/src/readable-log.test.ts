import { expect, test } from "vitest";
import { readableLog } from "./readable-log.ts";

test.each([
  ["a plain line", "a plain line"],
  ['{"level":30,"time":1,"msg":"listening","port":3000}', "listening"],
  ['{"level":50,"msg":"the broker failed","err":{"message":"closed"}}', "error: the broker failed: closed"],
  ['{"level":30,"msg":"cut o', '{"level":30,"msg":"cut o'],
  ['{"level":"info","msg":"of another logger"}', '{"level":"info","msg":"of another logger"}'],
])("of a log line %s a person reads %s", (line, read) => {
  expect(readableLog(line)).toBe(read);
});
