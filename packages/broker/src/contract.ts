import { afterEach, beforeEach, describe, test } from "vitest";
import type { Abilities } from "./abilities.ts";
import { abilitiesContract } from "./contract/abilities.ts";
import { historyContract } from "./contract/history.ts";
import { leaseOwnerContract } from "./contract/lease-owner.ts";
import { leasesContract } from "./contract/leases.ts";
import { modelCheck } from "./contract/model.ts";
import { orderCheck } from "./contract/order.ts";
import { publishingContract } from "./contract/publishing.ts";
import { subscribingContract } from "./contract/subscribing.ts";
import type { ContractLimits } from "./contract/world.ts";
import type { Broker } from "./port.ts";

export { orderCheck } from "./contract/order.ts";
export type { ContractLimits } from "./contract/world.ts";

/** Two nodes of one engine: two connections to one broker, or the same broker twice where an engine has no more. */
export interface BrokerPair {
  readonly a: Broker;
  readonly b: Broker;
  /** Breaks the connections of `a`, as a network does; they can be made again at once. Absent where there is none. */
  readonly cut?: () => void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BrokerContract {
  readonly name: string;
  /** A fresh pair. What they hold together starts empty, or the channels' names here meet nothing that is there. */
  make(): Promise<BrokerPair>;
  /** What the engine's brokers declare. For what it lacks, the documented refusal is tested instead. */
  readonly abilities: Abilities;
  readonly limits: ContractLimits;
}

/**
 * Defines the vitest suite that an engine passes to be a broker for Holdfast: everything that `port.ts` and
 * `lease-table.ts` promise and that can be seen without breaking the engine. What happens when it breaks is for the
 * engine's own tests. docs/broker-engines.md says how to use it.
 */
export function brokerContract({ name, make, abilities, limits }: BrokerContract): void {
  describe(`${name} keeps the broker contract`, () => {
    let pair: BrokerPair | undefined;
    let channel = "";
    const present = () => {
      if (!pair) throw new Error("There is a pair of nodes inside of a test only.");
      return pair;
    };
    const world = {
      abilities,
      limits,
      get a() {
        return present().a;
      },
      get b() {
        return present().b;
      },
      get channel() {
        return channel;
      },
    };

    beforeEach(async () => {
      pair = await make();
      channel = `contract.${Math.random().toString(36).slice(2)}`;
    });

    afterEach(async () => {
      await pair?.[Symbol.asyncDispose]();
      pair = undefined;
    });

    publishingContract(world);
    subscribingContract(world);
    historyContract(world);
    abilitiesContract(world);
    if (abilities.leases === true) {
      leasesContract(world);
      leaseOwnerContract(world);
    }

    test("says between which events entries of one channel may come later than those of others", () =>
      orderCheck(world.a, world.b, world.channel, present().cut));

    test("agrees with a model while publishers and subscribers come and go at random", () =>
      modelCheck(world.a, world.b));
  });
}
