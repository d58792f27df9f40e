import type { Endpoint, HealthCheck } from "@holdfast/routing";
import { startProbe, type Verdict } from "./health-probe.ts";
import type { ProbeQueues } from "./probe-queue.ts";

/** An endpoint that never passed is asked again after so many milliseconds, each time later, up to its interval. */
const FIRST_INTERVAL_MS = 50;

export interface EndpointHealthOptions {
  readonly check: HealthCheck;
  readonly endpoint: Endpoint;
  readonly queues: ProbeQueues;
  /** It has become healthy, or is found unhealthy; `cause` says why. */
  readonly onChange: (healthy: boolean, cause: string) => void;
}

/**
 * The health of one endpoint by its probes. It begins unhealthy and the first probe that passes makes it healthy,
 * whatever the threshold, so that a fleet that starts is not kept waiting; from then on the thresholds count.
 */
export class EndpointHealth {
  readonly endpoint: Endpoint;
  readonly #queues: ProbeQueues;
  readonly #onChange: EndpointHealthOptions["onChange"];
  #check: HealthCheck;
  #healthy = false;
  #everHealthy = false;
  /** Of the last probe that failed, since one last passed. */
  #cause: string | undefined;
  #passes = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #cancelProbe = (): void => {};

  constructor({ check, endpoint, queues, onChange }: EndpointHealthOptions) {
    this.#check = check;
    this.endpoint = endpoint;
    this.#queues = queues;
    this.#onChange = onChange;
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  /** Why the last probe failed; undefined when it passed, or before the first one's end. */
  get cause(): string | undefined {
    return this.#cause;
  }

  /** Whether its probes have come to a result yet. */
  get judged(): boolean {
    return this.#everHealthy || this.#failures >= this.#check.unhealthyThreshold;
  }

  /** Probes at once, and from then on again and again. */
  start(): void {
    this.#probe();
  }

  /** Breaks off a probe that is on its way and begins no other. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#cancelProbe();
  }

  /** Goes by another check from now on. What is known of the endpoint stays until that finds otherwise. */
  replaceCheck(check: HealthCheck): void {
    this.#check = check;
    this.#passes = 0;
    this.#failures = 0;
    this.stop();
    this.#probe();
  }

  #probe(): void {
    const check = this.#check;
    const queue = this.#cause === undefined ? this.#queues.sound : this.#queues.failing;
    this.#cancelProbe = queue.add((ended) => {
      const startedAt = performance.now();
      return startProbe(check, this.endpoint, (verdict) => {
        ended();
        this.#take(verdict);
        const leftMs = startedAt + this.#intervalMs() - performance.now();
        this.#timer = setTimeout(() => this.#probe(), Math.max(0, leftMs)).unref();
      });
    });
  }

  #take(verdict: Verdict): void {
    this.#cause = verdict;
    const { healthyThreshold, unhealthyThreshold } = this.#check;
    if (verdict === undefined) {
      this.#failures = 0;
      this.#passes++;
      if (this.#healthy || (this.#everHealthy && this.#passes < healthyThreshold)) return;
      this.#healthy = true;
      this.#everHealthy = true;
      this.#onChange(true, "");
    } else {
      this.#passes = 0;
      this.#failures++;
      // One that never was healthy is told of once, too: somebody waits for it.
      const told = this.#healthy
        ? this.#failures >= unhealthyThreshold
        : this.#failures === unhealthyThreshold;
      if (!told || (this.#everHealthy && !this.#healthy)) return;
      this.#healthy = false;
      this.#onChange(false, verdict);
    }
  }

  /** From the start of one probe to that of the next. Never the same for two endpoints, lest all be asked at once. */
  #intervalMs(): number {
    const intervalMs = this.#check.intervalSec * 1000;
    if (!this.#everHealthy) {
      return Math.min(FIRST_INTERVAL_MS * 1.5 ** Math.min(this.#failures - 1, 50), intervalMs);
    }
    // The second probe falls anywhere in the interval, which spreads endpoints that came together.
    if (this.#healthy && this.#passes === 1) return Math.random() * intervalMs;
    return intervalMs * (0.9 + Math.random() * 0.1);
  }
}
