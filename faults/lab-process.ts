import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

const root = join(import.meta.dirname, "..");
const cli = join(root, "packages/cli/src/main.ts");

export interface LabPod {
  readonly name: string;
  readonly deployment: string;
  readonly pid: number;
  readonly ready: boolean;
}

export interface LabReady {
  readonly ms: number;
  readonly loadBalancers: readonly { readonly name: string; readonly url: string }[];
}

/** `holdfast lab` as a process of its own, as a user runs it, followed through its `--json` events. */
export class LabProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  /** Everything that it wrote, for a failed test's message. */
  output = "";
  readonly #pods = new Map<string, LabPod>();
  readonly #waiting = new Set<() => void>();
  #ready: LabReady | undefined;

  private constructor(args: readonly string[], input: string | undefined) {
    this.child = spawn(process.execPath, [cli, "lab", "--json", "--port", "0", ...args], {
      cwd: root,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    this.child.stdin?.end(input);
    // A run that is broken off must not leave its lab behind; a lab that is killed takes its pods along.
    const killed = () => this.child.kill("SIGKILL");
    process.once("exit", killed);
    this.child.on("exit", () => {
      process.off("exit", killed);
      this.#wake();
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on("line", (line) => {
        this.output += `${line}\n`;
        if (line.startsWith("{")) this.#take(JSON.parse(line));
      });
    }
  }

  /** Starts a lab on any free port; resolves when it is ready, rejects with its output when it ends before. */
  static async start(args: readonly string[], input?: string): Promise<LabProcess> {
    const lab = new LabProcess(args, input);
    await lab.until(() => lab.#ready !== undefined, "the lab to be ready", 30_000);
    return lab;
  }

  get ready(): LabReady {
    if (!this.#ready) throw new Error("the lab isn't ready");
    return this.#ready;
  }

  get url(): string {
    const [first] = this.ready.loadBalancers;
    if (!first) throw new Error("the lab has no load balancer");
    return first.url;
  }

  pods(deployment?: string): LabPod[] {
    return [...this.#pods.values()].filter(
      (pod) => deployment === undefined || pod.deployment === deployment,
    );
  }

  /** Ends a pod's process; resolves once the lab has seen it end. */
  async kill(name: string, signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const pod = this.#pods.get(name);
    if (!pod) throw new Error(`no pod ${name}`);
    process.kill(pod.pid, signal);
    await this.until(
      () => this.#pods.get(name)?.pid !== pod.pid || !this.#pods.get(name)?.ready,
      `${name} to end`,
    );
  }

  /** Whether a pod's process has ended and no other is ready in its place yet. */
  isAway(name: string): boolean {
    return this.#pods.get(name)?.ready !== true;
  }

  async untilReady(name: string): Promise<void> {
    await this.until(() => this.#pods.get(name)?.ready === true, `${name} to be ready`, 30_000);
  }

  /** Resolves when the condition holds after some event; rejects, with the output so far, after `limitMs`. */
  async until(condition: () => boolean, what: string, limitMs = 10_000): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (!condition()) {
      if (this.child.exitCode !== null)
        throw new Error(`the lab ended while waiting for ${what}:\n${this.output}`);
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`waited ${limitMs} ms for ${what}:\n${this.output}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Ends it as Ctrl-C does. Resolves with its exit code. */
  async interrupt(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exit = once(this.child, "exit");
      this.child.kill("SIGINT");
      await exit;
    }
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.interrupt();
  }

  // biome-ignore lint/suspicious/noExplicitAny: the shape is the CLI's own, proven by its tests.
  #take(event: any): void {
    if (event.type === "ready") {
      for (const pod of event.pods) this.#pods.set(pod.name, { ...pod, ready: true });
      this.#ready = event;
    } else if (event.type === "pod") {
      const known = this.#pods.get(event.pod) ?? {
        name: event.pod,
        deployment: event.deployment,
        pid: 0,
        ready: false,
      };
      this.#pods.set(event.pod, {
        ...known,
        ...(event.pid && { pid: event.pid }),
        ready: event.state === "ready",
      });
    }
    this.#wake();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
