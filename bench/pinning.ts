import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** Who a process of a bench is: the server that is measured, or what puts load on it. */
export type Role = "server" | "load";

/** Which core each role keeps to, or why none can be kept to. */
export type Pinning =
  | { readonly type: "pinned"; readonly cores: Readonly<Record<Role, number>> }
  | { readonly type: "free"; readonly reason: string };

/** Core 0 takes most of a machine's interrupts, so the server that is measured gets the other one. */
const CORES: Readonly<Record<Role, number>> = { server: 1, load: 0 };

/** Finds out, by trying, whether processes can be kept to their cores here. */
export function findPinning(): Pinning {
  if (process.platform !== "linux") return { type: "free", reason: `${process.platform} has no taskset` };
  if (availableParallelism() < 2) return { type: "free", reason: "there is one core only" };
  for (const core of Object.values(CORES)) {
    const tried = spawnSync("taskset", ["-c", String(core), "true"], { encoding: "utf8" });
    if (tried.error) return { type: "free", reason: `taskset can't be run (${tried.error.message})` };
    if (tried.status !== 0)
      return { type: "free", reason: `core ${core} is not ours: ${tried.stderr.trim()}` };
  }
  return { type: "pinned", cores: CORES };
}

/** What to put before a command so that it, and every thread it starts, stays on its role's core. */
export function pinningPrefix(pinning: Pinning, role: Role): readonly string[] {
  return pinning.type === "pinned" ? ["taskset", "-c", String(pinning.cores[role])] : [];
}

/** One phrase for a person. */
export function describePinning(pinning: Pinning): string {
  if (pinning.type === "free") return `not pinned: ${pinning.reason}`;
  return `server on core ${pinning.cores.server}, load on core ${pinning.cores.load}`;
}
