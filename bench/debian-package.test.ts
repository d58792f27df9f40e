import { describe, expect, it } from "vitest";
import { ensureInstalled } from "./debian-package.ts";

describe("ensureInstalled", () => {
  it("does nothing for what is there", () => {
    const progress: string[] = [];
    ensureInstalled([{ command: "sh", name: "dash" }], (line) => progress.push(line));
    expect(progress).toEqual([]);
  });

  it("does nothing for nothing", () => {
    ensureInstalled([], () => {}, []);
  });
});
