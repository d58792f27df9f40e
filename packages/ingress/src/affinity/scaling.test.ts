import type { Affinity, Face } from "@holdfast/routing";
import { describe, expect, test } from "vitest";
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
import { seededRandom } from "../../test/random.ts";
import type { AffinityFacts, Choice } from "./affinity.ts";
import { randomCookieKey } from "./cookie-keys.ts";

const CLIENTS = 1_000;
const COUNTS = Array.from({ length: 19 }, (_, index) => index + 2);

const HASHED: readonly [string, Affinity, Face][] = [
  ["GCLB", { type: "GENERATED_COOKIE", ttlSec: 0 }, "gce"],
  ["GCILB", { type: "GENERATED_COOKIE", ttlSec: 3600 }, "gce-envoy"],
  ["CLIENT_IP", { type: "CLIENT_IP" }, "gce"],
];
const ALL: readonly [string, Affinity, Face][] = [...HASHED, ["PINNED_COOKIE", pinned(), "holdfast"]];

/** Clients of an ingress, each with the cookie it was issued, and what a (new) ingress chooses for them. */
function clientsOf(affinity: Affinity, face: Face, count: number, random = seededRandom()) {
  const means = meansOf({ cookieKeys: [randomCookieKey()] });
  const policy = () => policyOf(affinity, { face }, means);
  const table = tableOf(endpoints(count));
  const first = policy();
  const facts: AffinityFacts[] = [];
  const before: Choice[] = [];
  for (let client = 0; client < CLIENTS; client++) {
    const from = { client: `192.0.2.${client}.${random()}` };
    const choice = first.choose(table, factsOf(from), NONE) as Choice;
    before.push(choice);
    facts.push(factsOf(choice.setCookie ? { ...from, cookieHeader: returned(choice.setCookie) } : from));
  }
  const choicesWith = (members: Parameters<typeof tableOf>[0]) => {
    const other = tableOf(members);
    const again = policy();
    return facts.map((one) => again.choose(other, one, NONE) as Choice);
  };
  const movedFrom = (choices: readonly Choice[]) =>
    choices.filter(({ state }, client) => state.id !== before[client]?.state.id).length;
  return { before, choicesWith, movedFrom };
}

test.each(HASHED)("%s moves about one client in N when an endpoint is added", (_name, affinity, face) => {
  const random = seededRandom();
  for (const count of COUNTS) {
    const { choicesWith, movedFrom } = clientsOf(affinity, face, count, random);
    const share = movedFrom(choicesWith(endpoints(count + 1))) / CLIENTS;
    const ideal = 1 / (count + 1);
    // Five standard deviations of chance; and Maglev moves a few in a hundred more (§5.3 of its paper).
    const chance = 5 * Math.sqrt((ideal * (1 - ideal)) / CLIENTS);
    expect(share, `${count} endpoints`).toBeGreaterThan(ideal - chance);
    expect(share, `${count} endpoints`).toBeLessThan(ideal + chance + 0.06);
  }
});

test("PINNED_COOKIE moves no client when an endpoint is added", () => {
  const random = seededRandom();
  for (const count of COUNTS) {
    const { choicesWith, movedFrom } = clientsOf(pinned(), "holdfast", count, random);
    expect(movedFrom(choicesWith(endpoints(count + 1))), `${count} endpoints`).toBe(0);
  }
});

describe.each(ALL)("%s", (name, affinity, face) => {
  test("moves no client when the ingress is restarted with the same keys", () => {
    const { choicesWith, movedFrom } = clientsOf(affinity, face, 5);
    expect(movedFrom(choicesWith(endpoints(5).reverse()))).toBe(0);
  });

  test("moves the clients of an unhealthy endpoint alone, and has them back", () => {
    const { before, choicesWith, movedFrom } = clientsOf(affinity, face, 5);
    const away = choicesWith(endpoints(5, [2]));
    away.forEach(({ state, reason, setCookie }, client) => {
      const home = before[client]?.state;
      if (home?.endpoint.pod === "pod-2") expect(reason).toBe("failed-over");
      else expect(state.id).toBe(home?.id);
      expect(setCookie).toBeUndefined();
    });
    expect(movedFrom(choicesWith(endpoints(5)))).toBe(0);
  });

  test("moves hardly more than the clients of a removed endpoint", () => {
    const { before, choicesWith } = clientsOf(affinity, face, 5);
    const after = choicesWith(endpoints(5).filter(({ pod }) => pod !== "pod-2"));
    const stayed = before.filter(({ state }) => state.endpoint.pod !== "pod-2").length;
    const moved = after.filter(
      ({ state }, client) =>
        before[client]?.state.endpoint.pod !== "pod-2" && state.id !== before[client]?.state.id,
    ).length;
    if (name === "PINNED_COOKIE") expect(moved).toBe(0);
    else expect(moved / stayed).toBeLessThan(0.12);
  });
});
