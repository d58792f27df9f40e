import { beforeEach, describe, expect, test } from "vitest";
import type { Abilities } from "../abilities.ts";
import type { Broker } from "../port.ts";
import { KEPT, text, type World } from "./world.ts";

/** A call that needs an ability, for each that has one. */
const CALLS: Partial<Record<keyof Abilities, (broker: Broker, channel: string) => Promise<unknown>>> = {
  retention: (broker, channel) => broker.publish(channel, text("x"), { retention: KEPT }),
  volatile: (broker, channel) => broker.notify(channel, text("x")),
  backwards: (broker, channel) => broker.history(channel, { backwards: true }),
  leases: (broker, channel) => broker.leases.list(channel),
};

/** That what an engine lacks is said, and refused with what was said. */
export function abilitiesContract(world: World): void {
  describe("its abilities", () => {
    let a: Broker;
    let channel: string;

    beforeEach(() => {
      ({ a, channel } = world);
    });

    test("are declared on each node as what is tested here", () => {
      expect([world.a.abilities, world.b.abilities]).toEqual([world.abilities, world.abilities]);
    });

    for (const [name, ability] of Object.entries(world.abilities)) {
      if (ability === true) continue;

      test(`lack ${name} for a reason that is given in a sentence`, () => {
        expect(ability).toMatch(/^.{15,}\.$/);
      });

      const call = CALLS[name as keyof Abilities];
      if (!call) continue;
      test(`refuse what needs ${name}, with that reason`, async () => {
        const refused = { code: "ABILITY_MISSING", retryable: false, detail: ability };
        await expect(call(a, channel)).rejects.toMatchObject(refused);
      });
    }
  });
}
