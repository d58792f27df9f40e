import { differences } from "./compare.ts";
import { type Fleet, type FleetOptions, startStock } from "./fleet.ts";
import { makeProgram } from "./generator.ts";
import { runProgram } from "./runner.ts";

export interface DifferentialOptions {
  readonly seed: number;
  /** Starts the servers that are compared with stock Socket.IO on one. */
  readonly start: (options: FleetOptions) => Promise<Fleet>;
  /** Whether they can have `connectionStateRecovery`. */
  readonly recovery?: boolean;
  /** How long what is still missing is waited for, in milliseconds. */
  readonly patienceMs?: number;
}

export interface DifferentialReport {
  readonly seed: number;
  readonly recovery: boolean;
  readonly steps: number;
  /** What clients saw on the servers that are compared. */
  readonly seen: number;
  /** Clients that came back and were given what they had missed. */
  readonly recovered: number;
  readonly violations: readonly string[];
}

/**
 * Runs the program of a seed on stock Socket.IO, one server with its in-memory adapter, and on other servers with their
 * clients spread over them, and compares what every client and server saw.
 */
export async function differential(options: DifferentialOptions): Promise<DifferentialReport> {
  const { seed, start, recovery, patienceMs } = options;
  const program = makeProgram(seed, recovery);
  const { nodes, deflate } = program;
  const fleetOptions = { nodes, deflate, recovery: program.recovery };
  const expected = await using(await startStock(fleetOptions), (fleet) => runProgram(program, fleet));
  const { order, ...actual } = await using(await start(fleetOptions), async (fleet) => ({
    order: fleet.order,
    ...(await runProgram(program, fleet, { expected, patienceMs })),
  }));
  const seen = actual.phases.flatMap(({ clients }) => [...clients.values()].flat());
  return {
    seed,
    recovery: program.recovery,
    steps: program.phases.flatMap(({ lanes }) => lanes.flat()).length,
    seen: seen.length,
    recovered: seen.filter(({ id, value }) => id === "connect" && value === "recovered").length,
    violations: differences(program, expected, actual, order),
  };
}

async function using<T>(fleet: Fleet, work: (fleet: Fleet) => Promise<T>): Promise<T> {
  try {
    return await work(fleet);
  } finally {
    await fleet.close();
  }
}
