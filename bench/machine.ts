import { arch, cpus, platform, release, totalmem } from "node:os";
import { readCpuTime } from "./cpu-time.ts";
import { describePinning, type Pinning } from "./pinning.ts";

/** Where a bench was run: without it, its figures can't be compared with anybody else's. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly release: string;
  readonly arch: string;
  readonly node: string;
  readonly pinning: string;
  /** Where CPU time is read. */
  readonly cpuTime: string;
}

export function describeMachine(pinning: Pinning): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    memoryBytes: totalmem(),
    platform: platform(),
    release: release(),
    arch: arch(),
    node: process.version,
    pinning: describePinning(pinning),
    cpuTime: readCpuTime(process.pid) === undefined ? "process.cpuUsage" : "/proc/<pid>/task/*/schedstat",
  };
}
