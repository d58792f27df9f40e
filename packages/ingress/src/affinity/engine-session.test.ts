import type { Affinity } from "@holdfast/routing";
import { afterEach, expect, test, vi } from "vitest";
import {
  endpoints,
  factsOf,
  meansOf,
  NONE,
  pinned,
  policyOf,
  returned,
  tableOf,
} from "../../test/affinity.ts";
import { SERVICE } from "../../test/models.ts";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import { nodeToken } from "./session-id.ts";
import { SessionSearch } from "./session-search.ts";
import { SessionTable } from "./session-table.ts";

afterEach(() => vi.useRealTimers());

const HANDSHAKE = factsOf({ query: "EIO=4&transport=polling&t=1" });
const within = (sid: string, cookieHeader?: string) =>
  factsOf({ query: `EIO=4&transport=polling&sid=${sid}`, cookieHeader });
const opening = (sid: string) => Buffer.from(`0{"sid":"${sid}","upgrades":["websocket"]}`);
const owned = (pod: string) => `${nodeToken(pod)}.${"r".repeat(20)}`;

const AFFINITIES: readonly Affinity[] = [
  { type: "NONE" },
  { type: "CLIENT_IP" },
  { type: "GENERATED_COOKIE", ttlSec: 0 },
  pinned(),
];

test.each(AFFINITIES)(
  "a session id that names its node is followed without memory, whatever $type says",
  (affinity) => {
    const table = tableOf(endpoints(20));
    const policy = policyOf(affinity, { sessionAffinity: true });
    const other = policy.choose(table, factsOf(), NONE);
    const cookie = other?.setCookie && returned(other.setCookie);
    for (const { pod } of endpoints(20)) {
      const choice = policy.choose(table, within(owned(pod), cookie), NONE);
      expect(choice).toEqual({
        state: expect.objectContaining({ endpoint: expect.objectContaining({ pod }) }),
        reason: "session",
      });
    }
  },
);

test("a session id of a foreign server is followed once its handshake was seen", () => {
  const table = tableOf(endpoints(5));
  const policy = policyOf({ type: "NONE" }, { sessionAffinity: true });
  const sessions = Array.from({ length: 50 }, (_, client) => {
    const choice = policy.choose(table, HANDSHAKE, NONE);
    choice?.learn?.(opening(`sid-${client}`));
    return choice?.state;
  });
  for (let round = 0; round < 3; round++) {
    sessions.forEach((state, client) => {
      expect(policy.choose(table, within(`sid-${client}`), NONE)).toEqual({ state, reason: "session" });
    });
  }
  expect(new Set(sessions).size).toBe(5);
});

test("nothing is learned of requests that begin no session by polling", () => {
  const policy = policyOf({ type: "NONE" }, { sessionAffinity: true });
  const table = tableOf(endpoints(2));
  for (const facts of [
    factsOf(),
    factsOf({ query: "EIO=4&transport=websocket" }),
    factsOf({ query: "EIO=4&transport=polling", method: "OPTIONS" }),
    within("x"),
  ]) {
    expect(policy.choose(table, facts, NONE)?.learn).toBeUndefined();
  }
});

test("without session affinity a session id means nothing", () => {
  const policy = policyOf({ type: "NONE" });
  const table = tableOf(endpoints(2));
  expect(policy.choose(table, within(owned("pod-1")), NONE)?.reason).toBe("round-robin");
  expect(policy.choose(table, HANDSHAKE, NONE)?.learn).toBeUndefined();
});

test("an id that names its node takes no memory", () => {
  const sessions = new SessionTable(10, 60_000);
  const policy = policyOf({ type: "NONE" }, { sessionAffinity: true }, meansOf({ sessions }));
  const table = tableOf(endpoints(2));
  const choice = policy.choose(table, HANDSHAKE, NONE);
  choice?.learn?.(opening(owned(choice.state.endpoint.pod)));
  expect(sessions.size).toBe(0);
  // It has the form, but this pod doesn't go by that name here.
  choice?.learn?.(opening(owned("elsewhere")));
  expect(policy.choose(table, within(owned("elsewhere")), NONE)).toEqual({
    state: choice?.state,
    reason: "session",
  });
});

test("a session whose endpoint can't be reached goes where its cookie says, and returns", () => {
  const table = tableOf(endpoints(3));
  const policy = policyOf(pinned(), { sessionAffinity: true });
  const first = policy.choose(table, factsOf(), NONE);
  const cookie = returned(first?.setCookie);
  const owner = table.members.find((member) => member !== first?.state) as EndpointState;
  const facts = within(owned(owner.endpoint.pod), cookie);
  expect(policy.choose(table, facts, new Set([owner]))).toEqual({
    state: first?.state,
    reason: "failed-over",
  });
  table.connectFailed(owner, "ECONNREFUSED");
  expect(policy.choose(table, facts, NONE)).toEqual({ state: first?.state, reason: "failed-over" });
  table.connected(owner);
  expect(policy.choose(table, facts, NONE)).toEqual({ state: owner, reason: "session" });
});

test("a session is followed to an endpoint that was removed until its draining time is over, and nothing else is", () => {
  const table = tableOf(endpoints(2));
  const policy = policyOf({ type: "NONE" }, { sessionAffinity: true });
  const [stays, leaves] = table.members as [EndpointState, EndpointState];
  const begun = policy.choose(table, HANDSHAKE, new Set([stays]));
  begun?.learn?.(opening("learned"));
  table.set([stays.endpoint]);
  // The answer to a handshake that was on its way.
  begun?.learn?.(opening("late"));
  for (const sid of [owned(leaves.endpoint.pod), "learned", "late"]) {
    expect(policy.choose(table, within(sid), NONE)).toEqual({ state: leaves, reason: "session" });
  }
  expect(policy.choose(table, HANDSHAKE, NONE)?.state).toBe(stays);
  table.dismiss(leaves);
  for (const sid of [owned(leaves.endpoint.pod), "learned", "late"]) {
    expect(policy.choose(table, within(sid), NONE)).toMatchObject({ state: stays, reason: "round-robin" });
  }
});

test("an endpoint that comes back at the address of one that leaves has its place", () => {
  const table = tableOf(endpoints(1));
  const policy = policyOf({ type: "NONE" }, { sessionAffinity: true });
  const [before] = table.members;
  table.set([]);
  table.set(endpoints(1));
  expect(table.leaving).toEqual([]);
  const choice = policy.choose(table, within(owned("pod-0")), NONE);
  expect(choice).toEqual({ state: table.members[0], reason: "session" });
  expect(choice?.state).not.toBe(before);
});

test("a session is followed to an endpoint that fails its health check, while new clients go elsewhere", () => {
  const table = tableOf(endpoints(3, [1]));
  const policy = policyOf(pinned(), { sessionAffinity: true });
  for (let round = 0; round < 10; round++) {
    const facts = within(owned("pod-1"));
    expect(policy.choose(table, facts, NONE)).toMatchObject({
      reason: "session",
      state: { id: "10.0.0.2:8080" },
    });
    expect(policy.choose(table, HANDSHAKE, NONE)?.state.endpoint.pod).not.toBe("pod-1");
  }
});

test("the pinned cookie is renewed by requests of a session too, for its own endpoint", () => {
  vi.useFakeTimers({ now: 0, toFake: ["Date"] });
  const table = tableOf(endpoints(3));
  const policy = policyOf(pinned({ ttlSec: 100 }), { sessionAffinity: true });
  const first = policy.choose(table, factsOf(), NONE);
  const owner = table.members.find((member) => member !== first?.state) as EndpointState;
  const facts = within(owned(owner.endpoint.pod), returned(first?.setCookie));
  expect(policy.choose(table, facts, NONE)?.setCookie).toBeUndefined();
  vi.setSystemTime(20_000);
  const choice = policy.choose(table, facts, NONE);
  expect(choice).toMatchObject({ state: owner, reason: "session" });
  const next = policy.choose(table, factsOf({ cookieHeader: returned(choice?.setCookie) }), NONE);
  expect(next).toEqual({ state: first?.state, reason: "cookie" });
});

test("a handshake's answer that comes when its endpoint is gone teaches nothing", () => {
  const sessions = new SessionTable(10, 60_000);
  const policy = policyOf({ type: "NONE" }, { sessionAffinity: true }, meansOf({ sessions }));
  const table = tableOf(endpoints(1));
  const choice = policy.choose(table, HANDSHAKE, NONE);
  for (const left of table.set([])) table.dismiss(left);
  choice?.learn?.(opening("x"));
  expect(sessions.size).toBe(0);
});

test("another ingress is asked for a foreign session that this one doesn't know, and for nothing else", async () => {
  const table = tableOf(endpoints(3));
  const sessions = new SessionTable(10, 60_000);
  const ask = vi.fn(async (_service: string, sid: string) =>
    sid === "theirs" ? "10.0.0.2:8080" : undefined,
  );
  const policy = policyOf(
    { type: "NONE" },
    { sessionAffinity: true },
    meansOf({ sessions, search: new SessionSearch(sessions, ask) }),
  );
  for (const facts of [factsOf(), HANDSHAKE, within(owned("pod-1"))])
    expect(policy.prepare(table, facts)).toBeUndefined();
  await policy.prepare(table, within("theirs"));
  expect(ask.mock.calls).toEqual([[SERVICE, "theirs"]]);
  expect(policy.choose(table, within("theirs"), NONE)).toMatchObject({
    reason: "session",
    state: { id: "10.0.0.2:8080" },
  });
  expect(policy.prepare(table, within("theirs"))).toBeUndefined();
  // It has the form, but nobody goes by that name here: a foreign one that happens to look like it.
  await policy.prepare(table, within(owned("elsewhere")));
  expect(ask).toHaveBeenLastCalledWith(SERVICE, owned("elsewhere"));
  await policy.prepare(table, within("nobody's"));
  expect(policy.choose(table, within("nobody's"), NONE)?.reason).toBe("round-robin");
});
