import { type ChildProcess, spawn } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { PodCommand } from "./images.ts";
import { readLines } from "./log-lines.ts";
import { lentEnvironment } from "./pod-environment.ts";
import type { PodHostReport, PodHostStart } from "./pod-host.ts";

/** How a pod's process ended: its exit code or the signal, or why it could not be started at all. */
export interface PodExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly failure?: string;
}

export interface PodProcessOptions {
  readonly command: PodCommand;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Milliseconds between SIGTERM and SIGKILL, should the lab die. */
  readonly graceMs: number;
  /** The process id of the program itself is known. Called at most once. */
  readonly onStarted: (pid: number) => void;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
  /** Nothing of the process is left. Called once. */
  readonly onExit: (exit: PodExit) => void;
}

/** Built files end in `.js`, sources in `.ts`; a program beside this one has the same ending. */
const POD_HOST = fileURLToPath(new URL(`./pod-host${extname(import.meta.url)}`, import.meta.url));
const POD_GUARD = fileURLToPath(new URL("./pod-guard.cjs", import.meta.url));

/**
 * One running program of a pod. It leads a process group of its own, which is ended with it, and holds a channel to the
 * lab whose closing tells it that the lab is gone: the lab's Node programs watch it themselves (`pod-guard.cjs`), any
 * other command has a `pod-host` that does.
 *
 * A group of its own also keeps a terminal's Ctrl-C away from it: the lab decides how its pods end.
 */
export class PodProcess {
  readonly #child: ChildProcess;
  readonly #options: PodProcessOptions;
  #reported: PodExit | undefined;
  #ended = false;

  constructor(options: PodProcessOptions) {
    this.#options = options;
    this.#child = options.command.type === "node" ? this.#runNode(options.command.argv) : this.#runHost();
    const { stdout, stderr } = this.#child;
    if (stdout) readLines(stdout, (line) => options.onLine("stdout", line));
    if (stderr) readLines(stderr, (line) => options.onLine("stderr", line));
    this.#child.once("error", (error) => {
      // Also raised when a message or signal can't be sent; only a child without a process never exits.
      if (this.#child.pid === undefined) this.#end({ code: null, signal: null, failure: error.message });
    });
    this.#child.once("exit", (code, signal) => this.#end({ code, signal }));
    if (options.command.type === "shell") this.#handStart(options.command.command);
    else this.#child.once("spawn", () => options.onStarted(this.#child.pid ?? 0));
  }

  /** Sends a signal to the program and to all that it has started. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#ended) return;
    signalGroup(pid, signal);
  }

  #runNode(argv: readonly string[]): ChildProcess {
    const { cwd, env } = this.#options;
    return spawn(process.execPath, ["--require", POD_GUARD, ...argv], {
      cwd,
      env: { ...env },
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
  }

  #runHost(): ChildProcess {
    return spawn(process.execPath, [POD_HOST], {
      env: lentEnvironment(process.env),
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
  }

  #handStart(command: string): void {
    const { cwd, env, graceMs, onStarted } = this.#options;
    this.#child.on("message", (message) => {
      const report = message as PodHostReport;
      if (report.type === "started") onStarted(report.pid);
      else if (report.type === "exited") this.#reported = { code: report.code, signal: report.signal };
      else this.#reported = { code: null, signal: null, failure: report.message };
    });
    const start: PodHostStart = { command, cwd, env, graceMs };
    // A host that is already gone can't be told; its exit says so.
    this.#child.send(start, () => {});
  }

  #end(exit: PodExit): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#child.pid !== undefined) signalGroup(this.#child.pid, "SIGKILL");
    this.#options.onExit(this.#reported ?? exit);
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // Nobody of the group is left.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
