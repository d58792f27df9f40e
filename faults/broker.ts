import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "@holdfast/broker/testing";
import type { BrokerHost, FaultName } from "./broker-host.ts";
import {
  type Breakable,
  type EngineFaultsOptions,
  type EngineFaultsReport,
  engineFaults,
  type Node,
  type Progress,
  until,
} from "./engine.ts";

export interface BrokerFaultsOptions extends EngineFaultsOptions {
  /** What is broken. It keeps what it accepted. */
  readonly start: () => Promise<BrokerHost>;
}

/**
 * Breaks one broker process, and the connections to it: the process is killed, its room gets full, a connection is cut,
 * swallows everything, is slow, or can't be made; of Redis' two connections, only the subscriber's swallows everything, or the
 * server ends it since it is read too slowly. Leases live for less time than a fault may take.
 */
export async function brokerFaults(options: BrokerFaultsOptions): Promise<EngineFaultsReport<FaultName>> {
  const host = await options.start();
  const engine: Breakable<FaultName> = {
    faults: host.faults,
    first: "full",
    leaseTtlMs: 300,
    open: async () => {
      const proxy = await host.proxy();
      return { broker: host.connect(proxy.port), proxies: [proxy] };
    },
    break: (fault, node, random, progress) => breakOnce(fault, host, node, random, progress),
  };
  try {
    return await engineFaults(engine, options);
  } finally {
    await host.end();
  }
}

async function breakOnce(
  fault: FaultName,
  host: BrokerHost,
  { proxies }: Node,
  random: Random,
  progress: Progress,
): Promise<void> {
  const [proxy] = proxies;
  if (!proxy) throw new RangeError("A node has a proxy.");
  switch (fault) {
    case "kill":
      return host.restart();
    case "full": {
      const before = progress.repeated;
      await host.fill();
      await until(() => progress.done || progress.repeated > before + 3, "publishes to be refused");
      return host.makeRoom();
    }
    case "cut":
      return proxy.cut();
    case "black-hole":
      return proxy.blackHole();
    case "slow":
      proxy.hold();
      await pause(50 + random.below(200));
      return proxy.release();
    case "away":
      proxy.refuse();
      await pause(random.below(500));
      return proxy.accept();
    case "deaf":
      return host.deafen?.(proxy);
    case "overflow":
      return host.overflow?.(proxy);
  }
}
