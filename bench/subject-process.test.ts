import { afterEach, describe, expect, it } from "vitest";
import { findPinning, pinningPrefix } from "./pinning.ts";
import { SubjectProcess } from "./subject-process.ts";
import type { BurnerCalls } from "./testing/burner.ts";

const BURNER = new URL("./testing/burner.ts", import.meta.url);
const pinning = findPinning();
const started: SubjectProcess<BurnerCalls>[] = [];

async function startBurner(): Promise<SubjectProcess<BurnerCalls>> {
  const burner = await SubjectProcess.start<BurnerCalls>(BURNER, "server", pinning);
  started.push(burner);
  return burner;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((process) => process.stop()));
});

describe("SubjectProcess", () => {
  it.each([false, true])(
    "reads the CPU time that a process uses (in a thread: %s), and no other's",
    async (thread) => {
      const busy = await startBurner();
      const idle = await startBurner();
      const [busyBefore, idleBefore] = [await busy.cpuTime(), await idle.cpuTime()];
      const own = await busy.call("burn", { milliseconds: 200, thread });
      const [used, idled] = [(await busy.cpuTime()) - busyBefore, (await idle.cpuTime()) - idleBefore];
      // The reading begins a little before the process's own and ends a little after.
      expect(used / own).toBeGreaterThan(0.9);
      expect(used / own).toBeLessThan(1.5);
      expect(used).toBeGreaterThan(5 * idled);
    },
  );

  it("gives a call the message of the handler that failed, and lives on", async () => {
    const process = await startBurner();
    await expect(process.call("fail", { message: "out of paper" })).rejects.toThrow("out of paper");
    expect(await process.call("pid", null)).toBeGreaterThan(0);
  });

  it("fails the calls that wait when the process ends", async () => {
    const process = await startBurner();
    const waiting = process.call("never", null);
    process.tell("exit", { code: 3 });
    await expect(waiting).rejects.toThrow(/burner\.ts ended \(exit code 3\)/);
    await expect(process.failure).rejects.toThrow("exit code 3");
  });

  it("fails the start of a module that ends without an answer", async () => {
    const silent = new URL("./testing/command.ts", import.meta.url);
    await expect(SubjectProcess.start(silent, "server", pinning)).rejects.toThrow(/command\.ts ended/);
  });

  it("leaves no process behind when it is stopped", async () => {
    const subject = await startBurner();
    const pid = await subject.call("pid", null);
    await subject.stop();
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await subject.stop();
  });
});

describe("pinning", () => {
  it("puts nothing before a command where processes can't be pinned", () => {
    expect(pinningPrefix({ type: "free", reason: "a test" }, "server")).toEqual([]);
  });

  it("keeps server and load on different cores", () => {
    const pinned = { type: "pinned", cores: { server: 1, load: 0 } } as const;
    expect(pinningPrefix(pinned, "server")).toEqual(["taskset", "-c", "1"]);
    expect(pinningPrefix(pinned, "load")).toEqual(["taskset", "-c", "0"]);
  });
});
