import type { Pod as RoutingPod } from "@holdfast/routing";
import { BackOff } from "./back-off.ts";
import type { LabEvent } from "./events.ts";
import type { PodCommand } from "./images.ts";
import type { PodAddress } from "./pod-addresses.ts";
import { type PodExit, PodProcess } from "./pod-process.ts";
import { acceptsConnections } from "./port-probe.ts";

/** What is known of a pod at one moment. */
export interface PodStatus {
  readonly name: string;
  readonly namespace: string;
  readonly deployment: string;
  readonly address: string;
  /** The port that is given to its program as `PORT`. */
  readonly port: number;
  /** The program's process, while there is one; of a shell command that of the shell, whose end is the pod's. */
  readonly pid?: number;
  readonly ready: boolean;
  /** How often the program was started again. */
  readonly restarts: number;
}

export interface PodOptions {
  readonly name: string;
  readonly namespace: string;
  readonly deployment: string;
  readonly address: PodAddress;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Its containerPorts, some with a name. */
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly command: PodCommand;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Ready once all of these accept a connection; with none, as soon as the program runs. */
  readonly readyPorts: readonly number[];
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly onEvent: (event: LabEvent) => void;
}

const FIRST_RESTART_MS = 200;
const MAX_RESTART_MS = 10_000;
/** Ready for so long, a pod counts as sound again, and its next crash as its first. */
const SOUND_AFTER_MS = 2000;

/**
 * One replica of a Deployment: a program with a name and an address that it keeps for life. When the program ends, it
 * is started again after a back-off (200 ms, doubled up to 10 s), until the pod is closed.
 */
export class Pod {
  readonly options: PodOptions;
  readonly #backOff = new BackOff(FIRST_RESTART_MS, MAX_RESTART_MS);
  #process: PodProcess | undefined;
  #pid: number | undefined;
  #ready = false;
  #restarts = 0;
  #closing = false;
  #probing = new AbortController();
  #restartTimer: NodeJS.Timeout | undefined;
  #soundTimer: NodeJS.Timeout | undefined;
  #onGone: () => void = () => {};

  constructor(options: PodOptions) {
    this.options = options;
  }

  /** The pod as a balancer sees it. */
  asBackend(): RoutingPod {
    const { name, namespace, labels, address, ports } = this.options;
    return {
      name,
      namespace,
      labels,
      address: address.ip,
      ports: ports.map((port) => ({ ...port, port: this.#listensOn(port.containerPort) })),
      healthy: this.#ready,
    };
  }

  get ready(): boolean {
    return this.#ready;
  }

  status(): PodStatus {
    const { name, namespace, deployment, address, port } = this.options;
    return {
      name,
      namespace,
      deployment,
      address: address.ip,
      port: this.#listensOn(port),
      ...(this.#pid === undefined ? {} : { pid: this.#pid }),
      ready: this.#ready,
      restarts: this.#restarts,
    };
  }

  /** Starts the program. The pod's events tell what becomes of it. */
  start(): void {
    const { command, cwd, env, graceMs, name, onEvent } = this.options;
    this.#probing = new AbortController();
    this.#process = new PodProcess({
      command,
      cwd,
      env,
      graceMs,
      onStarted: (pid) => {
        this.#pid = pid;
        onEvent({ type: "pod", state: "started", pod: this.status() });
        void this.#awaitReady(this.#probing.signal);
      },
      onLine: (stream, line) => onEvent({ type: "log", pod: name, stream, line }),
      onExit: (exit) => this.#exited(exit),
    });
  }

  /** Ends the program, with SIGTERM and after the grace with SIGKILL, and starts it no more. Idempotent. */
  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#restartTimer);
    const running = this.#process;
    if (!running) return;
    const gone = new Promise<void>((resolve) => {
      const before = this.#onGone;
      this.#onGone = () => {
        before();
        resolve();
      };
    });
    running.signal("SIGTERM");
    const timer = setTimeout(() => running.signal("SIGKILL"), this.options.graceMs);
    await gone;
    clearTimeout(timer);
  }

  #listensOn(containerPort: number): number {
    return this.options.address.ports.get(containerPort) ?? containerPort;
  }

  async #awaitReady(signal: AbortSignal): Promise<void> {
    const { address, readyPorts, onEvent } = this.options;
    const accepted = await Promise.all(
      readyPorts.map((port) => acceptsConnections(address.ip, this.#listensOn(port), signal)),
    );
    if (signal.aborted || accepted.includes(false)) return;
    this.#ready = true;
    this.#soundTimer = setTimeout(() => this.#backOff.reset(), SOUND_AFTER_MS);
    onEvent({ type: "pod", state: "ready", pod: this.status() });
  }

  #exited(exit: PodExit): void {
    this.#probing.abort();
    clearTimeout(this.#soundTimer);
    this.#process = undefined;
    this.#pid = undefined;
    this.#ready = false;
    const restartInMs = this.#closing ? undefined : this.#backOff.next();
    if (restartInMs !== undefined) {
      this.#restartTimer = setTimeout(() => {
        this.#restarts++;
        this.start();
      }, restartInMs);
    }
    const { onEvent } = this.options;
    onEvent({
      type: "pod",
      state: "exited",
      pod: this.status(),
      exit,
      ...(restartInMs === undefined ? {} : { restartInMs }),
    });
    this.#onGone();
  }
}
