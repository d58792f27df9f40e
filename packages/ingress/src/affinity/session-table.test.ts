import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SessionTable } from "./session-table.ts";

beforeEach(() => vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => vi.useRealTimers());

const WEB = "default/web:80";

test("forgets, past its bound, the session that wasn't used for the longest time", () => {
  const table = new SessionTable(3, 1000);
  for (const sid of ["a", "b", "c"]) table.learn(WEB, sid, "10.0.0.1:80");
  table.ownerOf(WEB, "a");
  table.learn(WEB, "d", "10.0.0.2:80");
  expect(["a", "b", "c", "d"].map((sid) => table.ownerOf(WEB, sid))).toEqual([
    "10.0.0.1:80",
    undefined,
    "10.0.0.1:80",
    "10.0.0.2:80",
  ]);
  for (let count = 0; count < 100; count++) table.learn(WEB, `s${count}`, "10.0.0.3:80");
  expect(table.size).toBe(3);
});

test("forgets a session that isn't used for its time, and none that is", () => {
  const table = new SessionTable(10, 1000);
  table.learn(WEB, "idle", "10.0.0.1:80");
  table.learn(WEB, "used", "10.0.0.1:80");
  vi.advanceTimersByTime(600);
  expect(table.ownerOf(WEB, "used")).toBe("10.0.0.1:80");
  vi.advanceTimersByTime(600);
  expect(table.ownerOf(WEB, "idle")).toBeUndefined();
  expect(table.ownerOf(WEB, "used")).toBe("10.0.0.1:80");
  vi.advanceTimersByTime(5000);
  table.learn(WEB, "new", "10.0.0.1:80");
  expect(table.size).toBe(1);
});

test("keeps the session ids of backend services apart", () => {
  const table = new SessionTable(10, 1000);
  table.learn(WEB, "a", "10.0.0.1:80");
  expect(table.ownerOf("default/api:80", "a")).toBeUndefined();
  table.forget("default/api:80", ["10.0.0.1:80"]);
  expect(table.ownerOf(WEB, "a")).toBe("10.0.0.1:80");
});

test("forgets the sessions of an endpoint that was removed, also when another one gets its address", () => {
  const table = new SessionTable(10, 1000);
  table.learn(WEB, "a", "10.0.0.1:80");
  table.learn(WEB, "b", "10.0.0.2:80");
  table.forget(WEB, ["10.0.0.1:80"]);
  table.learn(WEB, "c", "10.0.0.1:80");
  const owners = ["a", "b", "c"].map((sid) => table.ownerOf(WEB, sid));
  expect(owners).toEqual([undefined, "10.0.0.2:80", "10.0.0.1:80"]);
  expect(table.size).toBe(2);
});
