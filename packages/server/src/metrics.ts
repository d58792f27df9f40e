import type { Hub, HubCounters } from "@holdfast/hub";
import type { BindingCounters, HoldfastCounters } from "@holdfast/socketio";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";

/** A registry with what Node itself has to say: memory, processor time, event loop. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Exports what a socket server counts. The hub and the binding count in plain numbers; they are read when asked for. */
export function exportCounters(
  registry: Registry,
  hub: Hub,
  binding: Readonly<BindingCounters>,
  cluster: Readonly<HoldfastCounters>,
): void {
  const { counters } = hub;
  const gauge = (name: string, help: string, read: () => number) => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  const counter = (name: string, help: string, read: () => number) => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };

  gauge("holdfast_ready", "1 while a message that this node published to itself has come back lately.", () =>
    hub.ready ? 1 : 0,
  );
  gauge("holdfast_connections", "Clients connected.", () => binding.connections);
  gauge("holdfast_subscriptions", "Subscriptions, those under way included.", () => binding.subscriptions);
  gauge("holdfast_channels", "Channels followed.", () => counters.channels);
  counter(
    "holdfast_entries_received_total",
    "Entries that the broker delivered to this node.",
    () => counters.entries,
  );
  counter("holdfast_entries_delivered_total", "Entries handed to live subscribers.", () => binding.delivered);
  counter(
    "holdfast_entries_caught_up_total",
    "Entries handed to resuming subscribers.",
    () => binding.caughtUp,
  );
  counter("holdfast_entries_unreadable_total", "Entries that were no message.", () => binding.unreadable);
  counter("holdfast_joins_total", "Subscribes without a cursor.", () => counters.joined);
  counter("holdfast_subscribes_refused_total", "Subscribes answered with an error.", () => binding.refused);
  counter(
    "holdfast_clients_cut_off_total",
    "Clients disconnected because they did not read.",
    () => cluster.cutOff,
  );
  counter("holdfast_log_reads_total", "Reads of the log.", () => counters.reads);
  counter("holdfast_log_reads_shared_total", "Resumes that shared a read.", () => counters.sharedReads);
  counter(
    "holdfast_resets_total",
    "Times that entries were lost to a followed channel.",
    () => counters.resets,
  );
  counter("holdfast_held_total", "Events held back for a late channel.", () => counters.held);
  counter(
    "holdfast_order_lost_total",
    "Times that so much was held back, or so long, that it went out of order.",
    () => counters.gaveWay,
  );
  counter("holdfast_late_entries_total", "Entries handed out after a later one.", () => counters.late);
  counter("holdfast_broker_errors_total", "Calls that the broker rejected.", () => counters.brokerErrors);
  counter("holdfast_emits_total", "Emits to rooms and namespaces of all nodes.", () => cluster.emits);
  counter("holdfast_emits_failed_total", "Those that the broker did not accept.", () => cluster.emitsFailed);
  counter(
    "holdfast_packets_delivered_total",
    "Packets handed to sockets in rooms, once for each.",
    () => cluster.delivered,
  );
  counter(
    "holdfast_packets_unreadable_total",
    "Entries of rooms that were no packet.",
    () => cluster.unreadable,
  );
  counter("holdfast_requests_total", "Requests of other nodes.", () => cluster.requests);
  counter(
    "holdfast_requests_failed_total",
    "Requests to other nodes, and answers to them, that failed.",
    () => cluster.requestsFailed,
  );
  gauge(
    "holdfast_forwarding",
    "Requests and upgrades on their way to other nodes.",
    () => cluster.forwarding,
  );
  exportForwarding(registry, cluster);
  exportResumes(registry, counters);
}

function exportForwarding(registry: Registry, cluster: Readonly<HoldfastCounters>): void {
  new Counter({
    name: "holdfast_forwarded_total",
    help: "Requests of other nodes' sessions that were handed over and answered.",
    labelNames: ["kind"],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ kind: "request" }, cluster.forwardedRequests);
      this.inc({ kind: "upgrade" }, cluster.forwardedUpgrades);
    },
  });
  new Counter({
    name: "holdfast_sessions_unknown_total",
    help: "Requests of sessions that no node could be found to answer for, by reason.",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ reason: "ended" }, cluster.refusedEnded);
      this.inc({ reason: "foreign" }, cluster.refusedForeign);
      this.inc({ reason: "owner-gone" }, cluster.refusedOwnerGone);
      this.inc({ reason: "not-issued" }, cluster.refusedNotIssued);
      this.inc({ reason: "unreachable" }, cluster.refusedUnreachable);
      this.inc({ reason: "too-many" }, cluster.refusedTooMany);
    },
  });
}

function exportResumes(registry: Registry, counters: Readonly<HubCounters>): void {
  new Counter({
    name: "holdfast_resumes_total",
    help: "Subscribes with a cursor, by whether it could be continued from.",
    labelNames: ["recovered"],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ recovered: "true" }, counters.recovered);
      this.inc({ recovered: "false" }, counters.refused);
    },
  });
}
