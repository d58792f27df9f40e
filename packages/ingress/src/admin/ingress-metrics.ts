import { STATUS_CODES } from "node:http";
import type {
  IngressEvent,
  Outcome,
  Reason,
  RefusedEvent,
  RequestEvent,
  UpgradeClosedEvent,
} from "../events.ts";
import type { IngressStatus } from "../status.ts";
import type { MetricFamily, MetricValue } from "./metric-family.ts";

/** Upper bounds in seconds, up to what a long poll takes. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Pairs of load balancer and backend service that are told apart; the others are counted as `other`. */
export const MAX_PAIRS = 10_000;

/** What is counted of one backend service behind one load balancer. Plain numbers: this is written for every request. */
class Counts {
  readonly requests = new Map<Outcome, Map<number, number>>();
  readonly reasons = new Map<Reason, number>();
  readonly closedUpgrades = new Map<UpgradeClosedEvent["cause"], number>();
  readonly buckets = new Float64Array(BUCKETS.length + 1);
  seconds = 0;
  retries = 0;
  bytesIn = 0;
  bytesOut = 0;
  openUpgrades = 0;
}

/**
 * Counts what an ingress tells in its events. Labels are made of the routing model's names and of our own words only, so
 * no client and no pod can make their number grow.
 */
export class IngressMetrics {
  readonly #pairs = new Map<string, Map<string, Counts>>();
  readonly #refused = new Map<string, Map<RefusedEvent["cause"], number>>();
  readonly #downs = new Map<string, number>();
  #pairCount = 0;

  observe(event: IngressEvent): void {
    switch (event.type) {
      case "request":
        this.#request(event);
        break;
      case "upgrade-closed": {
        const counts = this.#countsOf(event.loadBalancer, event.backendService);
        counts.openUpgrades -= 1;
        counts.bytesIn += event.bytesIn ?? 0;
        counts.bytesOut += event.bytesOut ?? 0;
        increment(counts.closedUpgrades, event.cause);
        break;
      }
      case "refused": {
        const name = this.#refused.size < MAX_PAIRS ? event.loadBalancer : "other";
        increment(innerOf(this.#refused, name), event.cause);
        break;
      }
      case "endpoint-down":
        increment(this.#downs, this.#downs.size < MAX_PAIRS ? event.backendService : "other");
        break;
    }
  }

  #request(event: RequestEvent): void {
    const counts = this.#countsOf(event.loadBalancer, event.backendService ?? "");
    increment(innerOf(counts.requests, event.outcome), event.status);
    if (event.reason !== undefined) increment(counts.reasons, event.reason);
    if (event.tries > 1) counts.retries += event.tries - 1;
    counts.bytesIn += event.bytesIn ?? 0;
    counts.bytesOut += event.bytesOut ?? 0;
    if (event.status === 101) {
      counts.openUpgrades += 1;
      return;
    }
    const seconds = event.ms / 1000;
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > (BUCKETS[bucket] as number)) bucket += 1;
    counts.buckets[bucket] = (counts.buckets[bucket] as number) + 1;
    counts.seconds += seconds;
  }

  #countsOf(loadBalancer: string, backendService: string): Counts {
    const known = this.#pairs.get(loadBalancer)?.get(backendService);
    if (known) return known;
    if (this.#pairCount >= MAX_PAIRS && loadBalancer !== "other") return this.#countsOf("other", "other");
    const counts = new Counts();
    innerOf(this.#pairs, loadBalancer).set(backendService, counts);
    this.#pairCount += 1;
    return counts;
  }

  /** Everything counted, with the ingress' state of this moment. */
  snapshot(status: IngressStatus): MetricFamily[] {
    const requests: MetricValue[] = [];
    const durations: MetricValue[] = [];
    const retries: MetricValue[] = [];
    const bytesIn: MetricValue[] = [];
    const bytesOut: MetricValue[] = [];
    const reasons: MetricValue[] = [];
    const open: MetricValue[] = [];
    const closed: MetricValue[] = [];
    for (const [ingress, services] of this.#pairs) {
      for (const [backend_service, counts] of services) {
        const pair = { ingress, backend_service };
        for (const [outcome, statuses] of counts.requests) {
          for (const [code, value] of sumByCode(statuses)) {
            requests.push({ labels: { ...pair, code, outcome }, value });
          }
        }
        durations.push(...histogram(`${NAME}request_duration_seconds`, pair, counts));
        retries.push({ labels: pair, value: counts.retries });
        bytesIn.push({ labels: pair, value: counts.bytesIn });
        bytesOut.push({ labels: pair, value: counts.bytesOut });
        for (const [reason, value] of counts.reasons) reasons.push({ labels: { ...pair, reason }, value });
        open.push({ labels: pair, value: counts.openUpgrades });
        for (const [cause, value] of counts.closedUpgrades) {
          closed.push({ labels: { ...pair, cause }, value });
        }
      }
    }
    const refused = [...this.#refused].flatMap(([ingress, causes]) =>
      [...causes].map(([cause, value]) => ({ labels: { ingress, cause }, value })),
    );
    const downs = [...this.#downs].map(([backend_service, value]) => ({
      labels: { backend_service },
      value,
    }));
    return [
      counter(
        "requests_total",
        "Requests that have ended, and upgrades that were accepted (code 101).",
        requests,
      ),
      {
        ...family("request_duration_seconds", "From a request's head to the end of its answer."),
        type: "histogram",
        aggregator: "sum",
        values: durations,
      },
      counter("retries_total", "Times that a request was offered to a further endpoint.", retries),
      counter(
        "received_bytes_total",
        "Of requests' bodies, and of upgraded connections that have ended.",
        bytesIn,
      ),
      counter(
        "sent_bytes_total",
        "Of answers' bodies, and of upgraded connections that have ended.",
        bytesOut,
      ),
      counter("affinity_decisions_total", "Requests by why they went to their endpoint.", reasons),
      gauge("upgrades_open", "Upgraded connections that are open.", "sum", open),
      counter(
        "upgrades_closed_total",
        "Upgraded connections that have ended, by who or what ended them.",
        closed,
      ),
      counter(
        "refused_total",
        "Clients that were turned away before their request had a place to go.",
        refused,
      ),
      counter("endpoint_down_total", "Times that an endpoint was passed over for a while.", downs),
      gauge("upstream_connections_open", "Connections to endpoints, idle ones included.", "sum", [
        { labels: {}, value: status.upstreamConnections },
      ]),
      ...statusFamilies(status),
    ];
  }
}

const NAME = "holdfast_ingress_";

function statusFamilies({ listeners, endpoints }: IngressStatus): MetricFamily[] {
  const ofListeners = (read: (listener: IngressStatus["listeners"][number]) => number) =>
    listeners.map((listener) => ({
      labels: { ingress: listener.loadBalancer, protocol: listener.tls ? "https" : "http" },
      value: read(listener),
    }));
  const ofEndpoints = (read: (endpoint: IngressStatus["endpoints"][number]) => number) =>
    endpoints.map((endpoint) => ({
      labels: { backend_service: endpoint.backendService, pod: endpoint.pod, endpoint: endpoint.endpoint },
      value: read(endpoint),
    }));
  return [
    gauge(
      "connections_open",
      "Client connections that are open.",
      "sum",
      ofListeners(({ open }) => open),
    ),
    counter(
      "connections_total",
      "Client connections that were accepted.",
      ofListeners(({ accepted }) => accepted),
    ),
    gauge(
      "endpoint_healthy",
      "1 while the health check passes, and every process knows it.",
      "min",
      ofEndpoints(({ healthy }) => (healthy ? 1 : 0)),
    ),
    gauge(
      "endpoint_passed_over",
      "Processes that pass this endpoint over for now, because it can't be connected to.",
      "sum",
      ofEndpoints(({ down }) => (down ? 1 : 0)),
    ),
    gauge(
      "endpoint_open",
      "Requests and upgraded connections that are open on an endpoint.",
      "sum",
      ofEndpoints(({ open }) => open),
    ),
  ];
}

function family(name: string, help: string) {
  return { name: NAME + name, help };
}

function counter(name: string, help: string, values: readonly MetricValue[]): MetricFamily {
  return { ...family(name, help), type: "counter", aggregator: "sum", values };
}

function gauge(
  name: string,
  help: string,
  aggregator: MetricFamily["aggregator"],
  values: readonly MetricValue[],
): MetricFamily {
  return { ...family(name, help), type: "gauge", aggregator, values };
}

function histogram(name: string, labels: Readonly<Record<string, string>>, counts: Counts): MetricValue[] {
  let total = 0;
  const values: MetricValue[] = [...counts.buckets].map((count, index) => {
    total += count;
    return {
      metricName: `${name}_bucket`,
      labels: { ...labels, le: BUCKETS[index] ?? "+Inf" },
      value: total,
    };
  });
  values.push({ metricName: `${name}_sum`, labels, value: counts.seconds });
  values.push({ metricName: `${name}_count`, labels, value: total });
  return values;
}

/** Status codes that nobody has registered are told by their class alone: a pod may send any of 900. */
function sumByCode(statuses: ReadonlyMap<number, number>): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [status, count] of statuses) {
    const code = status === 0 || STATUS_CODES[status] ? String(status) : `${Math.trunc(status / 100)}xx`;
    sums.set(code, (sums.get(code) ?? 0) + count);
  }
  return sums;
}

/** The map behind a key, made when it is asked for first. */
function innerOf<Key, Inner, Value>(maps: Map<Key, Map<Inner, Value>>, key: Key): Map<Inner, Value> {
  const known = maps.get(key);
  if (known) return known;
  const made = new Map<Inner, Value>();
  maps.set(key, made);
  return made;
}

function increment<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
