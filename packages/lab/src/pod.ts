import type { Pod as RoutingPod } from "@holdfast/routing";
import { BackOff } from "./back-off.ts";
import type { LabEvent } from "./events.ts";
import type { PodCommand } from "./images.ts";
import type { PodAddress } from "./pod-addresses.ts";
import type { Sickness } from "./pod-health.ts";
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
  /** It accepts connections, and every balancer's health check has found it well. */
  readonly ready: boolean;
  /** Why it isn't ready although it accepts connections. */
  readonly unhealthy?: Sickness;
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
  /** It may be probed once all of these accept a connection; with none, as soon as the program runs. */
  readonly readyPorts: readonly number[];
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  /** It accepts connections now, and is to be judged. */
  readonly onAccepting: () => void;
  readonly onEvent: (event: LabEvent) => void;
}

const FIRST_RESTART_MS = 200;
const MAX_RESTART_MS = 10_000;
/** A pod that accepts connections and isn't well after so long is said to be unhealthy; most are well within a blink. */
const UNHEALTHY_AFTER_MS = 2000;
/** Up for so long, a pod counts as sound again, and its next crash as its first. */
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
  #accepting = false;
  #ready = false;
  #sickness: Sickness | undefined;
  #toldUnhealthy = false;
  #restarts = 0;
  #closing = false;
  #probing = new AbortController();
  #restartTimer: NodeJS.Timeout | undefined;
  #soundTimer: NodeJS.Timeout | undefined;
  #unhealthyTimer: NodeJS.Timeout | undefined;
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
      healthy: this.#accepting,
    };
  }

  get accepting(): boolean {
    return this.#accepting;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Whether it was said what has become of it: that it is ready, or why it isn't. */
  get told(): boolean {
    return this.#ready || this.#toldUnhealthy;
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
      ...(this.#accepting && this.#sickness ? { unhealthy: this.#sickness } : {}),
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
        void this.#awaitAccepting(this.#probing.signal);
      },
      onLine: (stream, line) => onEvent({ type: "log", pod: name, stream, line }),
      onExit: (exit) => this.#exited(exit),
    });
  }

  /**
   * Takes what the balancers' health checks say: undefined when all find it well. As with the readiness gate that GKE
   * gives a pod behind a NEG, it is not ready before they do; unlike there, it is unready again when one no more does.
   */
  judge(sickness: Sickness | undefined): void {
    this.#sickness = sickness;
    if (!this.#accepting || this.#ready === (sickness === undefined)) return;
    if (sickness) {
      this.#ready = false;
      this.tellUnhealthy();
    } else {
      this.#ready = true;
      this.#toldUnhealthy = false;
      clearTimeout(this.#unhealthyTimer);
      this.options.onEvent({ type: "pod", state: "ready", pod: this.status() });
    }
  }

  /** Says why it isn't ready, once. */
  tellUnhealthy(): void {
    if (this.told) return;
    this.#toldUnhealthy = true;
    clearTimeout(this.#unhealthyTimer);
    this.options.onEvent({ type: "pod", state: "unhealthy", pod: this.status() });
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

  async #awaitAccepting(signal: AbortSignal): Promise<void> {
    const { address, readyPorts, onAccepting } = this.options;
    const accepted = await Promise.all(
      readyPorts.map((port) => acceptsConnections(address.ip, this.#listensOn(port), signal)),
    );
    if (signal.aborted || accepted.includes(false)) return;
    this.#accepting = true;
    this.#soundTimer = setTimeout(() => this.#backOff.reset(), SOUND_AFTER_MS);
    this.#unhealthyTimer = setTimeout(() => this.tellUnhealthy(), UNHEALTHY_AFTER_MS);
    onAccepting();
  }

  #exited(exit: PodExit): void {
    this.#probing.abort();
    clearTimeout(this.#soundTimer);
    clearTimeout(this.#unhealthyTimer);
    this.#process = undefined;
    this.#pid = undefined;
    this.#accepting = false;
    this.#ready = false;
    this.#toldUnhealthy = false;
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
