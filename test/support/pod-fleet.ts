import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Endpoint } from "@holdfast/routing";

const PROGRAM = join(import.meta.dirname, "graceful-pod.ts");

/** How a pod ends: see `graceful-pod.ts`. */
export type Ending = "announced" | "plain";

/** One pod as a process of its own. */
export class PodProcess {
  readonly endpoint: Endpoint;
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;

  private constructor(child: ChildProcess, endpoint: Endpoint) {
    this.#child = child;
    this.endpoint = endpoint;
    this.#exit = once(child, "exit").then(([code]) => code);
  }

  static async start(address: string, name: string, ending: Ending): Promise<PodProcess> {
    const child = fork(PROGRAM, [address, name, ending], { execArgv: [] });
    const [port] = await once(child, "message");
    return new PodProcess(child, { address, port: Number(port), pod: name, healthy: true });
  }

  /** Sends SIGTERM; resolves when the pod has begun to end. */
  async terminate(): Promise<void> {
    const closing = once(this.#child, "message");
    this.#child.kill("SIGTERM");
    await closing;
  }

  /** Resolves with the exit code. */
  exit(): Promise<number | null> {
    return this.#exit;
  }

  /** For a pod whose ending is `announced`. */
  leave(): void {
    this.#child.send("leave");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Pods that come and go, each with an address and a name that no other ever has. */
export class PodFleet {
  readonly pods: PodProcess[] = [];
  readonly #all: PodProcess[] = [];
  readonly #ending: Ending;
  #count = 0;

  constructor(ending: Ending) {
    this.#ending = ending;
  }

  get endpoints(): Endpoint[] {
    return this.pods.map(({ endpoint }) => endpoint);
  }

  async add(): Promise<PodProcess> {
    const number = ++this.#count;
    const pod = await PodProcess.start(`127.0.0.${20 + number}`, `web-${number}`, this.#ending);
    this.#all.push(pod);
    this.pods.push(pod);
    return pod;
  }

  remove(pod: PodProcess): void {
    this.pods.splice(this.pods.indexOf(pod), 1);
  }

  killAll(): void {
    for (const pod of this.#all) pod.kill();
  }
}
