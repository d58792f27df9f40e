import { describe, expect, it, test } from "vitest";
import { differential } from "../faults/differential/differential.ts";
import { orderProblems } from "../faults/differential/order.ts";
import type { Program, Step } from "../faults/differential/program.ts";
import type { Transcript } from "../faults/differential/transcript.ts";
import { type AdapterFault, startBus } from "./support/bus-fleet.ts";

/** Programs that are tried for a fault, from this seed on: the same ones each time, so that the outcome is, too. */
const [FIRST, TRIED] = [420, 6];

/** What is found in programs until one shows a trace of the fault. */
async function violationsOf(fault: AdapterFault, recovery: boolean, trace = ""): Promise<readonly string[]> {
  const found: string[] = [];
  for (let seed = FIRST; seed < FIRST + TRIED; seed++) {
    const { violations } = await differential({
      seed,
      recovery,
      start: (options) => startBus(options, fault),
      // What is lost for good is found without a long wait; what is right isn't late by this much.
      patienceMs: fault === "none" ? 8000 : 300,
    });
    found.push(...violations);
    if (violations.some((violation) => violation.includes(trace))) break;
  }
  return found;
}

test.each([false, true])(
  "servers that do as one would are found to differ in nothing (recovery: %s)",
  async (recovery) => {
    expect(await violationsOf("none", recovery)).toEqual([]);
  },
);

test.each<[AdapterFault, string]>([
  ["drop", "missing"],
  ["other-node-only", "missing"],
  ["double", "too much"],
  ["reorder", "order: "],
  ["reorder-rooms", "order: no order of all rooms is that of all clients: "],
  ["ignore-except", "too much"],
  ["keep-left", "too much"],
  ["lose-answer", "operation has timed out"],
])("an adapter with the fault %s is found out", async (fault, trace) => {
  expect((await violationsOf(fault, false, trace)).join("\n")).toContain(trace);
});

test("a recovery that leaves out a missed message is found out", async () => {
  expect((await violationsOf("forget-missed", true)).join("\n")).toContain("missing");
});

describe("of what three clients have seen", () => {
  const names = ["a", "b", "c"];
  const room = (name: string, id: string): Step => {
    const rooms = name.split("+").map((one) => `room ${one}`);
    const target = { namespace: "/", rooms, except: [], local: false };
    return { type: "emit", node: 0, target, volatile: false, compress: true, id, payload: [] };
  };
  // Each from a lane of its own, so that only rooms have an order.
  const steps = ["1", "2", "3", "1+2"].map((rooms) => room(rooms, `to ${rooms}`));
  const program: Program = {
    seed: 1,
    recovery: false,
    deflate: false,
    nodes: 1,
    clients: names.map((name) => ({ name, namespace: "/", transports: ["websocket"], greeted: [] })),
    phases: [{ lanes: steps.map((step) => [step]) }, { lanes: [[room("1", "to 1 again")]] }],
  };
  const seen = (...each: readonly (readonly string[])[]): Transcript => {
    const clients = new Map(
      names.map((name, index) => [name, (each[index] ?? []).map((id) => ({ id, value: "" }))]),
    );
    const nothing = { sockets: new Map(), nodes: [], answers: new Map(), rooms: new Map(), unmarked: [] };
    return { phases: [{ ...nothing, clients }] };
  };

  it("finds messages of two rooms in two orders, where there is one order of all rooms", () => {
    const two = seen(["to 1", "to 2"], ["to 2", "to 1"]);
    for (const order of ["all-rooms", "all-copies"] as const) {
      expect(orderProblems(program, two, order)).toEqual([
        "order: no order of all rooms is that of all clients: a has to 1 before to 2, b has to 2 before to 1",
      ]);
    }
    expect(orderProblems(program, two, "one-room")).toEqual([]);
  });

  it("finds a circle of three clients of which no two disagree", () => {
    const three = seen(["to 1", "to 2"], ["to 2", "to 3"], ["to 3", "to 1"]);
    expect(orderProblems(program, three, "all-rooms")).toEqual([
      "order: no order of all rooms is that of all clients: a has to 1 before to 2, b has to 2 before to 3, c has to 3 before to 1",
    ]);
    expect(orderProblems(program, three, "one-room")).toEqual([]);
  });

  it("finds messages of one room in two orders in any case, and that alone where rooms have no order of all", () => {
    const one = seen(["to 1", "to 1 again"], ["to 1 again", "to 1"]);
    expect(orderProblems(program, one, "one-room")).toEqual([
      "order: no order of room / room 1 is that of all clients: a has to 1 before to 1 again, b has to 1 again before to 1",
    ]);
    expect(orderProblems(program, one, "all-rooms")).toHaveLength(1);
  });

  it("holds copies for several rooms to one place only where they stay together", () => {
    const copies = seen(["to 1+2", "to 3"], ["to 3", "to 1+2"]);
    expect(orderProblems(program, copies, "all-copies")).toHaveLength(1);
    expect(orderProblems(program, copies, "all-rooms")).toEqual([]);
    expect(orderProblems(program, copies, "one-room")).toEqual([]);
  });
});
