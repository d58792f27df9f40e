import { expect, test, vi } from "vitest";
import { SessionSearch } from "./session-search.ts";
import { SessionTable } from "./session-table.ts";

const WEB = "default/web:80";
const isMember = (endpoint: string) => endpoint === "10.0.0.1:80";

test("asks once for a session, however many requests wait for it, and remembers the owner", async () => {
  const sessions = new SessionTable(10, 60_000);
  const ask = vi.fn(async () => "10.0.0.1:80");
  const search = new SessionSearch(sessions, ask);
  await Promise.all([search.search(WEB, "a", isMember), search.search(WEB, "a", isMember)]);
  expect(ask.mock.calls).toEqual([[WEB, "a"]]);
  expect(sessions.ownerOf(WEB, "a")).toBe("10.0.0.1:80");
});

test("goes on without an owner when nobody knows, it is removed here, the question fails, or the answer doesn't come", async () => {
  const sessions = new SessionTable(10, 60_000);
  const answers = new Map<string, () => Promise<string | undefined>>([
    ["removed", async () => "10.0.0.9:80"],
    ["unknown", async () => undefined],
    ["failed", async () => Promise.reject(new Error("gone"))],
    ["silent", () => new Promise<undefined>(() => {})],
  ]);
  const search = new SessionSearch(
    sessions,
    (_service, sid) => answers.get(sid)?.() ?? Promise.resolve(undefined),
  );
  await Promise.all([...answers.keys()].map((sid) => search.search(WEB, sid, isMember)));
  expect(sessions.size).toBe(0);
});

test("asks for no more than 256 at a time", () => {
  const ask = vi.fn(() => new Promise<undefined>(() => {}));
  const search = new SessionSearch(new SessionTable(10, 60_000), ask);
  for (let sid = 0; sid < 300; sid++) search.search(WEB, String(sid), isMember);
  expect(ask).toHaveBeenCalledTimes(256);
  expect(search.search(WEB, "one more", isMember)).toBeUndefined();
});
