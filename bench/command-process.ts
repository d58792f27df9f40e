import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { readCpuTime } from "./cpu-time.ts";
import { readMemory } from "./memory.ts";
import type { Pinning, Role } from "./pinning.ts";
import { type Measured, SubjectProcess } from "./subject-process.ts";

/** A server that isn't ours: one process, in the foreground. `{folder}` in its texts is a folder of its own. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** Added to our own environment. `HOME` is its folder. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Written into its folder before it is started, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** Where it will listen on 127.0.0.1. */
  readonly port: number;
}

/** What the process between a command and the harness answers. */
export type KeeperCalls = {
  /** Starts the command, and answers its process id. */
  readonly run: { readonly argument: Command; readonly reply: number };
  /** Ends both, and removes the folder. */
  readonly stop: { readonly argument: null; readonly reply: undefined };
};

const KEEPER = new URL("./command-keeper.ts", import.meta.url);
const LISTEN_TIMEOUT_MS = 10_000;
const LISTEN_POLL_MS = 20;

/** A process of a bench that doesn't know of the bench: HAProxy, nginx, ... What it prints is shown if it ends unasked. */
export class CommandProcess implements Measured {
  readonly #keeper: SubjectProcess<KeeperCalls>;
  readonly #file: string;
  #pid = 0;
  #stopped: Promise<void> | undefined;

  /** @throws Error when it can't be started, ends, or doesn't listen in time */
  static async start(command: Command, role: Role, pinning: Pinning): Promise<CommandProcess> {
    const keeper = await SubjectProcess.start<KeeperCalls>(KEEPER, role, pinning);
    const started = new CommandProcess(keeper, command.file);
    try {
      started.#pid = await keeper.call("run", command);
      await Promise.race([untilListening(command), keeper.failure]);
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  private constructor(keeper: SubjectProcess<KeeperCalls>, file: string) {
    this.#keeper = keeper;
    this.#file = file;
  }

  /** Rejects when the process ends before it is stopped. */
  get failure(): Promise<never> {
    return this.#keeper.failure;
  }

  get pid(): number {
    return this.#pid;
  }

  /** CPU time used since the start, all threads, user and kernel, in microseconds. */
  async cpuTime(): Promise<number> {
    return this.#known(readCpuTime(this.#pid), "CPU time");
  }

  /** Resident memory, in bytes. */
  async memory(): Promise<number> {
    return this.#known(readMemory(this.#pid), "memory");
  }

  /** Ends the process. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    await this.#keeper.call("stop", null).catch(() => {});
    await this.#keeper.stop();
  }

  #known(value: number | undefined, what: string): number {
    if (value === undefined) throw new Error(`this system doesn't say the ${what} of ${this.#file}`);
    return value;
  }
}

async function untilListening({ file, port }: Command): Promise<void> {
  const deadline = performance.now() + LISTEN_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (performance.now() > deadline) {
      throw new Error(`${file} did not listen on port ${port} within ${LISTEN_TIMEOUT_MS} ms`);
    }
    await sleep(LISTEN_POLL_MS);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
