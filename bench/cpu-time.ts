import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time that a process has used since it began, user and kernel, in microseconds, summed over the threads it has
 * now. Undefined where the operating system doesn't say (not Linux, or a kernel without scheduler information).
 *
 * The source is the first field of `/proc/<pid>/task/<tid>/schedstat` (Documentation/scheduler/sched-stats.rst):
 * nanoseconds on a core. `/proc/<pid>/stat` counts the same in ticks of 10 ms, which is too coarse for a run of a
 * second. A thread that is on a core at this moment is up to one tick behind; a thread that ended is no longer
 * counted, so compare two readings only of a process that keeps its threads, as Node.js does.
 */
export function readCpuTime(pid: number): number | undefined {
  let nanoseconds = 0;
  for (const thread of threadsOf(pid)) nanoseconds += threadTime(pid, thread);
  return nanoseconds === 0 ? undefined : nanoseconds / 1000;
}

/** What a process knows of its own CPU time, in microseconds: the way on systems without `/proc`. */
export function ownCpuTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function threadTime(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ", 1)[0]);
  } catch {
    // The thread ended between the listing and the reading.
    return 0;
  }
}
