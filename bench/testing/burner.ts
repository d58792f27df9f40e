import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { answerHarness } from "../child.ts";
import { ownCpuTime } from "../cpu-time.ts";

/** A process for the harness's own tests. */
export type BurnerCalls = {
  /** Uses a core for this much CPU time, here or in a thread that stays, and answers what it used itself, in microseconds. */
  readonly burn: {
    readonly argument: { readonly milliseconds: number; readonly thread: boolean };
    readonly reply: number;
  };
  readonly fail: { readonly argument: { readonly message: string }; readonly reply: undefined };
  readonly exit: { readonly argument: { readonly code: number }; readonly reply: undefined };
  readonly never: { readonly argument: null; readonly reply: undefined };
  readonly pid: { readonly argument: null; readonly reply: number };
};

const BURN = "const until = (end) => { while (process.cpuUsage().user < end) Math.sqrt(end); };";
const worker = new Worker(
  `${BURN} require("node:worker_threads").parentPort.on("message", function (end) { until(end); this.postMessage(0); })`,
  { eval: true },
);
await once(worker, "online");

answerHarness<BurnerCalls>({
  burn: async ({ milliseconds, thread }) => {
    const before = ownCpuTime();
    const end = process.cpuUsage().user + milliseconds * 1000;
    if (thread) {
      const burnt = once(worker, "message");
      worker.postMessage(end);
      await burnt;
    } else {
      while (process.cpuUsage().user < end) Math.sqrt(end);
    }
    return ownCpuTime() - before;
  },
  fail: ({ message }) => {
    throw new Error(message);
  },
  exit: ({ code }) => process.exit(code),
  never: () => new Promise<undefined>(() => {}),
  pid: () => process.pid,
});
