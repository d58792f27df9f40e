import { readFileSync } from "node:fs";

/**
 * Memory that a process holds, in bytes: its resident set. Undefined where the operating system doesn't say.
 *
 * The source is `VmRSS` of `/proc/<pid>/status` (proc_pid_status(5)). The kernel keeps that figure per core and may be
 * some pages behind, which is nothing next to what is measured here.
 */
export function readMemory(pid: number): number | undefined {
  try {
    const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}
