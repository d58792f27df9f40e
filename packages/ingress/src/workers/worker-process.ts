import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { DataPlaneSettings } from "./data-plane.ts";
import { Link } from "./link.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

export interface WorkerProcessOptions {
  readonly settings: DataPlaneSettings;
  readonly graceMs: number;
  /** Milliseconds that it may not answer; then it is ended. */
  readonly silentMs: number;
  /** Answers what the worker asks of the others. */
  readonly onAsk: (message: FromWorker) => unknown;
  readonly onExit: (exit: WorkerExit) => void;
}

export interface WorkerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const START_MS = 30_000;

/** One worker process, from its start to its end. One that doesn't answer any more is ended. */
export class WorkerProcess {
  readonly link: Link<ToWorker, FromWorker>;
  /** What it had counted when it was asked last. */
  snapshot: readonly (readonly object[])[] = [];
  readonly #child: ChildProcess;
  /** Resolves once it can serve. @throws IngressError `WORKER_SILENT` */
  readonly started: Promise<void>;
  #look: NodeJS.Timeout | undefined;
  readonly #exited: Promise<void>;

  constructor(options: WorkerProcessOptions) {
    const program = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
    this.#child = fork(fileURLToPath(program), [], { serialization: "advanced" });
    this.link = new Link(this.#child, options.onAsk);
    this.link.tell({ type: "start", settings: options.settings, graceMs: options.graceMs });
    const { silentMs } = options;
    this.started = this.measure(START_MS);
    this.started.then(
      () => {
        this.#look = setInterval(() => void this.measure(silentMs).catch(() => this.kill()), silentMs / 3);
        if (this.#child.exitCode !== null || this.#child.signalCode !== null) clearInterval(this.#look);
      },
      () => this.kill(),
    );
    this.#exited = new Promise((resolve) => {
      const exited = (code: number | null, signal: NodeJS.Signals | null) => {
        clearInterval(this.#look);
        resolve();
        options.onExit({ code, signal });
      };
      this.#child.once("exit", exited);
      // Not started at all: there is no exit then.
      this.#child.once("error", () => {
        if (this.#child.pid === undefined) exited(null, null);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Asks for what it has counted, and keeps it. @throws IngressError `WORKER_SILENT` */
  async measure(timeoutMs: number): Promise<void> {
    this.snapshot = await this.link.ask({ type: "metrics" }, timeoutMs);
  }

  /** Lets it end in order, and ends it when it is late. */
  async close(graceMs: number, lateMs: number): Promise<void> {
    this.link.tell({ type: "close", graceMs });
    const timer = setTimeout(() => this.kill(), graceMs + lateMs);
    await this.#exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
