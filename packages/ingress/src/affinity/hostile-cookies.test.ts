import type { Affinity, Face } from "@holdfast/routing";
import { expect, test } from "vitest";
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

const POLICIES: readonly [string, Affinity, Face][] = [
  ["GCLB", { type: "GENERATED_COOKIE", ttlSec: 0 }, "gce"],
  ["GCILB", { type: "GENERATED_COOKIE", ttlSec: 60 }, "gce-envoy"],
  ["pinned", pinned({ ttlSec: 60 }), "holdfast"],
];

const PIECES = [
  "=",
  ";",
  " ",
  '"',
  ".",
  "v1.",
  "\\",
  ",",
  "\t",
  "\u00ff",
  "\u0000",
  "%3B",
  "A",
  "-",
  "0",
  "=;",
  "; ",
];

/** A header that is cut, doubled, overwritten and sewn together of valid ones and of what a parser may stumble over. */
function mutate(valid: readonly string[], random: () => number): string {
  const pick = <T>(from: readonly T[]) => from[random() % from.length] as T;
  let header = pick(valid);
  for (let step = random() % 6; step >= 0; step--) {
    const at = random() % (header.length + 1);
    const end = Math.min(header.length, at + (random() % 12));
    switch (random() % 6) {
      case 0:
        header = header.slice(0, at) + pick(PIECES) + header.slice(at);
        break;
      case 1:
        header = header.slice(0, at) + header.slice(end);
        break;
      case 2:
        header = header.slice(0, at) + String.fromCharCode(random() % 256) + header.slice(at + 1);
        break;
      case 3:
        header += pick(PIECES) + pick(valid);
        break;
      case 4:
        header = pick(PIECES).repeat(random() % 200) + header;
        break;
      default:
        header = header.slice(0, end).repeat(1 + (random() % 40)) + header.slice(at);
    }
  }
  return header.slice(0, 16_384);
}

test.each(POLICIES)(
  "no Cookie header makes %s affinity throw, or leave the table's endpoints",
  (_name, affinity, face) => {
    const random = seededRandom();
    const table = tableOf(endpoints(5, [3]));
    const settings = { face, sessionAffinity: true };
    const policy = policyOf(affinity, settings, meansOf());
    const issued = Array.from({ length: 20 }, () =>
      returned(policy.choose(table, factsOf(), NONE)?.setCookie),
    );
    const [name = ""] = issued[0]?.split("=") ?? [];
    const valid = [...issued, `${name}=`, name, "a=b; c=d", `x=${name}=y`];
    const usable = table.members.filter(({ healthy }) => healthy);
    const reasons = new Set<string>();
    for (let round = 0; round < 20_000; round++) {
      const cookieHeader = mutate(valid, random);
      const choice = policy.choose(table, factsOf({ cookieHeader }), NONE);
      if (!choice || !usable.includes(choice.state))
        throw new Error(`not a usable endpoint for ${cookieHeader}`);
      reasons.add(choice.reason);
      if (choice.setCookie?.match(/[\r\n]/)) throw new Error(`another field in ${choice.setCookie}`);
    }
    expect([...reasons]).toEqual(expect.arrayContaining(["cookie", "new"]));
  },
);

test("no query makes session affinity throw, or leave the table's endpoints", () => {
  const random = seededRandom();
  const table = tableOf(endpoints(5, [3]));
  const policy = policyOf({ type: "NONE" }, { sessionAffinity: true });
  const valid = [
    "EIO=4&transport=polling",
    "EIO=3&transport=websocket&sid=abc.def&t=1",
    "&sid=%41%",
    "&transport",
  ];
  for (let round = 0; round < 20_000; round++) {
    const choice = policy.choose(table, factsOf({ query: mutate(valid, random) }), NONE);
    if (!choice?.state.healthy) throw new Error("not a usable endpoint");
    choice.learn?.(Buffer.from(mutate(['0{"sid":"x"}', '97:0{"sid":"'], random), "latin1"));
  }
});
