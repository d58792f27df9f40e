import { expect, it } from "vitest";
import { readMemory } from "./memory.ts";

const MIB = 1024 * 1024;

it("reads the memory that a process has written to, and says nothing of a process that isn't there", () => {
  const before = readMemory(process.pid);
  const written = Buffer.alloc(64 * MIB, 1);
  const after = readMemory(process.pid);
  if (process.platform === "linux") {
    expect(Number(after) - Number(before)).toBeGreaterThan(0.9 * written.length);
  }
  expect(readMemory(2 ** 30)).toBeUndefined();
});
