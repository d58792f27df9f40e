import { createServer } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { BackendServiceId, Endpoint, RoutingModel } from "@holdfast/routing";
import type { MetricFamily } from "../admin/metric-family.ts";
import { totalsOf } from "../admin/metric-family.ts";
import { randomCookieKey } from "../affinity/cookie-keys.ts";
import { IngressError, listenError } from "../errors.ts";
import { Ingress, type ListenOptions, listenerName, type UnlistenOptions } from "../ingress.ts";
import type { DataPlane, DataPlaneSettings } from "./data-plane.ts";
import type { FromWorker } from "./messages.ts";
import { type WorkerExit, WorkerProcess } from "./worker-process.ts";

/** A worker has ended without having been told to, and is started again after the time. */
export interface WorkerExitedEvent extends WorkerExit {
  readonly type: "worker-exited";
  readonly pid: number | undefined;
  readonly restartInMs: number;
}

export interface WorkerFleetOptions {
  /** Processes, 1 to 256. */
  readonly workers: number;
  readonly settings: DataPlaneSettings;
  /** Milliseconds that workers give what is open when this process is gone. */
  readonly graceMs: number;
  /** Milliseconds after which a worker that answers nothing is ended, and started again. Default 15,000. */
  readonly silentMs?: number;
  readonly onEvent?: (event: WorkerExitedEvent) => void;
}

const MAX_WORKERS = 256;
const SILENT_MS = 15_000;
const LISTEN_MS = 10_000;
const METRICS_MS = 2_000;
const FIND_SESSION_MS = 200;
/** For a worker to end once its connections' time is over. */
const LATE_MS = 2_000;

const FIRST_RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** A worker that lasted for this long is started again as if it had never failed. */
const LASTING_MS = 30_000;

/**
 * Several worker processes that serve the same model on the same addresses.
 *
 * Each has a listening socket of its own on every address (SO_REUSEPORT), and the system spreads connections over them
 * by a hash of both ends. So this process is in the way of no connection: what it does besides can't slow them down. A
 * worker that is killed takes its own connections with it, and those that it had not accepted yet; no other's.
 *
 * All have the same cookie keys, and so agree on every cookie. Sessions that one of them has learned of are asked for.
 */
export class WorkerFleet implements DataPlane {
  readonly #options: WorkerFleetOptions;
  /** Says no to what the workers would say no to, and never listens. */
  readonly #judge: Ingress;
  readonly #workers = new Set<WorkerProcess>();
  readonly #restarts = new Set<NodeJS.Timeout>();
  readonly #endpoints = new Map<BackendServiceId, readonly Endpoint[]>();
  readonly #listening = new Map<string, ListenOptions>();
  #model: RoutingModel | undefined;
  #ended: readonly object[] = [];
  #restarted = 0;
  #closing: Promise<void> | undefined;
  /** Ended by a signal (128 and its number) that means at once; after any other end the workers drain by themselves. */
  readonly #onExit = (code: number) => {
    if (code > 128) for (const worker of this.#workers) worker.kill();
  };

  /**
   * @returns once every worker can serve
   * @throws IngressError `OPTION_INVALID`, `WORKER_SILENT`
   */
  static async start(options: WorkerFleetOptions): Promise<WorkerFleet> {
    const fleet = new WorkerFleet(options);
    try {
      await Promise.all([...fleet.#workers].map(({ started }) => started));
      return fleet;
    } catch (error) {
      await fleet.close({ graceMs: 0 });
      throw error;
    }
  }

  private constructor(options: WorkerFleetOptions) {
    const { workers, settings } = options;
    if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS) {
      throw new IngressError("OPTION_INVALID", `workers must be a whole number from 1 to ${MAX_WORKERS}`);
    }
    const cookieKeys = settings.ingress.cookieKeys ?? [randomCookieKey()];
    this.#options = { ...options, settings: { ...settings, ingress: { ...settings.ingress, cookieKeys } } };
    this.#judge = new Ingress(this.#options.settings.ingress);
    process.on("exit", this.#onExit);
    for (let count = 0; count < workers; count++) this.#start(FIRST_RESTART_MS);
  }

  /** Processes that are there now. */
  get pids(): number[] {
    return [...this.#workers].flatMap(({ pid }) => pid ?? []);
  }

  apply(model: RoutingModel): void {
    this.#judge.apply(model);
    this.#model = model;
    for (const id of this.#endpoints.keys()) if (!model.backendServices.has(id)) this.#endpoints.delete(id);
    for (const { link } of this.#workers) link.tell({ type: "apply", model });
  }

  setEndpoints(backendService: BackendServiceId, endpoints: readonly Endpoint[]): void {
    if (isDeepStrictEqual(endpoints, this.#endpoints.get(backendService))) return;
    this.#judge.setEndpoints(backendService, endpoints);
    this.#endpoints.set(backendService, endpoints);
    for (const { link } of this.#workers) link.tell({ type: "endpoints", backendService, endpoints });
  }

  async listen(given: ListenOptions): Promise<{ host: string; port: number }> {
    const name = listenerName(given);
    if (this.#closing) throw new IngressError("INGRESS_CLOSED", "the ingress is closed");
    if (this.#listening.has(name)) {
      throw new IngressError("ALREADY_LISTENING", `${name} has an address already`);
    }
    this.#listening.set(name, given);
    try {
      const address = await freeAddress(given);
      const options = { ...given, ...address, reusePort: true };
      this.#listening.set(name, options);
      await Promise.all([...this.#workers].map((worker) => this.#listenAt(worker, options)));
      return address;
    } catch (error) {
      await this.unlisten({ loadBalancer: given.loadBalancer, tls: given.tls ?? false, graceMs: 0 });
      throw error;
    }
  }

  async unlisten(options: UnlistenOptions): Promise<void> {
    this.#listening.delete(listenerName(options));
    const message = { type: "unlisten", options } as const;
    await Promise.all([...this.#workers].map(({ link }) => link.ask(message, LISTEN_MS).catch(() => {})));
  }

  async metrics(): Promise<readonly (readonly object[])[]> {
    const workers = [...this.#workers];
    // One that is busy is told of as it was a moment ago.
    await Promise.all(workers.map((worker) => worker.measure(METRICS_MS).catch(() => {})));
    return [this.#ownMetrics(), this.#ended, ...workers.flatMap(({ snapshot }) => snapshot)];
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    for (const timer of this.#restarts) clearTimeout(timer);
    await Promise.all([...this.#workers].map((worker) => worker.close(graceMs, LATE_MS)));
    await this.#judge.close();
    process.off("exit", this.#onExit);
  }

  #start(restartInMs: number): void {
    const { settings, graceMs, silentMs = SILENT_MS } = this.#options;
    const startedAt = performance.now();
    const worker: WorkerProcess = new WorkerProcess({
      settings,
      graceMs,
      silentMs,
      onAsk: (message) => this.#askOthers(worker, message),
      onExit: (exit) => {
        const lasted = performance.now() - startedAt > LASTING_MS;
        this.#exited(worker, exit, lasted ? FIRST_RESTART_MS : restartInMs);
      },
    });
    this.#workers.add(worker);
    if (this.#model) worker.link.tell({ type: "apply", model: this.#model });
    for (const [backendService, endpoints] of this.#endpoints) {
      worker.link.tell({ type: "endpoints", backendService, endpoints });
    }
    for (const options of this.#listening.values()) {
      // Without all its addresses it would serve a part, and nobody would know.
      this.#listenAt(worker, options).catch(() => worker.kill());
    }
  }

  #exited(worker: WorkerProcess, exit: WorkerExit, restartInMs: number): void {
    this.#workers.delete(worker);
    void this.#keepTotals(worker.snapshot);
    if (this.#closing) return;
    this.#options.onEvent?.({ type: "worker-exited", pid: worker.pid, ...exit, restartInMs });
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.#restarted += 1;
      this.#start(Math.min(restartInMs * 2, MAX_RESTART_MS));
    }, restartInMs);
    this.#restarts.add(timer);
  }

  async #keepTotals(snapshot: readonly (readonly object[])[]): Promise<void> {
    const before = this.#ended;
    const totals = await totalsOf([before, ...snapshot]);
    // Another one ended meanwhile: what it left is added to.
    if (this.#ended === before) this.#ended = totals;
    else await this.#keepTotals(snapshot);
  }

  /** A worker that ends while it is asked is none that can't listen: the next one will. */
  async #listenAt({ link }: WorkerProcess, options: ListenOptions): Promise<void> {
    try {
      await link.ask({ type: "listen", options }, LISTEN_MS);
    } catch (error) {
      if (!(error instanceof IngressError) || error.code !== "WORKER_SILENT") throw error;
    }
  }

  async #askOthers(asking: WorkerProcess, message: FromWorker): Promise<string | undefined> {
    const others = [...this.#workers].filter((worker) => worker !== asking);
    const answers = others.map(async ({ link }) => {
      const owner = await link.ask<string | undefined>(message, FIND_SESSION_MS);
      if (owner === undefined) throw new Error("unknown there");
      return owner;
    });
    return Promise.any(answers).catch(() => undefined);
  }

  #ownMetrics(): MetricFamily[] {
    const family = (name: string, help: string, type: "gauge" | "counter", value: number): MetricFamily => ({
      name: `holdfast_ingress_${name}`,
      help,
      type,
      aggregator: "sum",
      values: [{ labels: {}, value }],
    });
    return [
      family("workers", "Worker processes that are there.", "gauge", this.#workers.size),
      family(
        "worker_restarts_total",
        "Worker processes that were started in place of an ended one.",
        "counter",
        this.#restarted,
      ),
    ];
  }
}

/**
 * An address that nobody listens on. Asked for without SO_REUSEPORT, which would share it with any other process of this
 * user in silence.
 */
function freeAddress(given: ListenOptions): Promise<{ host: string; port: number }> {
  const { host = "127.0.0.1", port, portFlag } = given;
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error) => reject(listenError(error, host, port, portFlag)));
    server.listen({ host, port }, () => {
      const address = server.address();
      const found = typeof address === "object" && address ? address : { address: host, port };
      server.close(() => resolve({ host: found.address, port: found.port }));
    });
  });
}
