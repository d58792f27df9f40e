import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "@holdfast/broker/testing";
import { openNatsBroker } from "@holdfast/broker-nats";
import { FaultProxy } from "../packages/broker/test/fault-proxy.ts";
import { NatsCluster } from "../packages/broker-nats/test/nats-cluster.ts";
import { NatsServer } from "../packages/broker-nats/test/nats-server.ts";
import {
  type Breakable,
  type EngineFaultsOptions,
  type EngineFaultsReport,
  engineFaults,
  type Node,
} from "./engine.ts";

type ConnectionFault = "cut" | "black-hole" | "slow" | "away";
type ServerFault = ConnectionFault | "kill" | "freeze";
type ClusterFault = ConnectionFault | "kill" | "leader" | "minority";

const CONNECTION: readonly ConnectionFault[] = ["cut", "black-hole", "slow", "away"];
const QUICK = { heartbeatMs: 100, tryMs: 500, requestMs: 3000, backOffMs: 20, auditMs: 200, partitions: 2 };

/** Breaks one NATS server and the nodes' connections to it: it is killed, stands still, or its connections fail. */
export async function natsFaults(options: EngineFaultsOptions): Promise<EngineFaultsReport<ServerFault>> {
  const server = await NatsServer.start();
  const engine: Breakable<ServerFault> = {
    faults: ["kill", "freeze", ...CONNECTION],
    leaseTtlMs: 500,
    open: () => open([server], {}),
    break: async (fault, node, random) => {
      if (fault === "kill") return server.restart();
      if (fault !== "freeze") return breakConnection(fault, node, random);
      server.freeze();
      await pause(100 + random.below(800));
      server.thaw();
    },
  };
  try {
    return await engineFaults(engine, options);
  } finally {
    await server.close();
  }
}

/**
 * Breaks a cluster of three which keeps everything three times: any server is killed, or the one that leads a log, or one is
 * cut off from the two others, but not from its nodes.
 */
export async function natsClusterFaults(
  options: EngineFaultsOptions,
): Promise<EngineFaultsReport<ClusterFault>> {
  const cluster = await NatsCluster.start();
  const engine: Breakable<ClusterFault> = {
    faults: ["kill", "leader", "minority", ...CONNECTION],
    leaseTtlMs: 2000,
    open: () => open(cluster.servers, { replicas: 3 }),
    break: async (fault, node, random) => {
      if (fault === "kill") return random.pick(cluster.servers).restart();
      if (fault === "leader") return (await cluster.leaderOf("holdfast-log-0")).restart();
      if (fault !== "minority") return breakConnection(fault, node, random);
      const alone = random.below(3);
      cluster.isolate(alone);
      await pause(1000 + random.below(3000));
      cluster.heal();
    },
  };
  try {
    return await engineFaults(engine, options);
  } finally {
    await cluster.close();
  }
}

async function open(servers: readonly NatsServer[], rest: { readonly replicas?: number }) {
  const proxies = await Promise.all(servers.map(({ port }) => FaultProxy.open(port)));
  const url = `nats://${proxies.map(({ port }) => `127.0.0.1:${port}`).join()}`;
  return { broker: openNatsBroker(url, { ...QUICK, ...rest }), proxies };
}

async function breakConnection(fault: ConnectionFault, { proxies }: Node, random: Random): Promise<void> {
  switch (fault) {
    case "cut":
      for (const proxy of proxies) proxy.cut();
      return;
    case "black-hole":
      for (const proxy of proxies) proxy.blackHole();
      return;
    case "slow":
      for (const proxy of proxies) proxy.hold();
      await pause(50 + random.below(150));
      for (const proxy of proxies) proxy.release();
      return;
    case "away":
      for (const proxy of proxies) proxy.refuse();
      await pause(random.below(500));
      for (const proxy of proxies) proxy.accept();
  }
}
