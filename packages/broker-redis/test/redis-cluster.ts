import { setTimeout as pause } from "node:timers/promises";
import { RedisServer } from "./redis-server.ts";
import { waitFor } from "./wait-for.ts";

const WAIT = { timeout: 30_000, interval: 50 };

/** A Redis Cluster of three primaries, on request with a replica each. */
export class RedisCluster {
  readonly servers: readonly RedisServer[];

  private constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
  }

  static async start(replicas: 0 | 1 = 0): Promise<RedisCluster> {
    const options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    const servers = await Promise.all(
      Array.from({ length: 3 * (1 + replicas) }, () => RedisServer.start(...options)),
    );
    const [first] = servers;
    const places = servers.map(({ port }) => `127.0.0.1:${port}`);
    const shape = ["--cluster-replicas", `${replicas}`, "--cluster-yes"];
    first?.command("--cluster", "create", ...places, ...shape);
    const cluster = new RedisCluster(servers);
    await waitFor(() => {
      for (const server of servers)
        if (!server.command("CLUSTER", "INFO").includes("cluster_state:ok")) throw new Error("not yet");
    }, WAIT);
    return cluster;
  }

  get url(): string {
    return `redis+cluster://${this.servers.map(({ port }) => `127.0.0.1:${port}`).join()}`;
  }

  /** Moves a slot from its server to another one, key by key, as `redis-cli --cluster reshard` does. */
  async moveSlot(slot: number): Promise<void> {
    const move = this.beginMove(slot);
    while (move.next()) await pause(20);
    move.end();
  }

  /** The same in steps of the caller's choice. */
  beginMove(slot: number): SlotMove {
    const [from, to] = this.#ownersOf(slot);
    const [fromId, toId] = [from.command("CLUSTER", "MYID"), to.command("CLUSTER", "MYID")];
    to.command("CLUSTER", "SETSLOT", `${slot}`, "IMPORTING", fromId);
    from.command("CLUSTER", "SETSLOT", `${slot}`, "MIGRATING", toId);
    const keys = (count: number) =>
      from
        .command("CLUSTER", "GETKEYSINSLOT", `${slot}`, `${count}`)
        .split("\n")
        .filter((key) => key !== "");
    const take = (key: string) =>
      from.command("MIGRATE", "127.0.0.1", `${to.port}`, "", "0", "5000", "KEYS", key);
    return {
      take: (isWanted) => {
        const wanted = keys(1000).filter(isWanted);
        for (const key of wanted) take(key);
        return wanted;
      },
      next: () => {
        const [key] = keys(1);
        if (key !== undefined) take(key);
        return key !== undefined;
      },
      end: () => {
        for (const key of keys(1000)) take(key);
        for (const server of [to, from, ...this.servers.filter((one) => one !== to && one !== from)])
          server.command("CLUSTER", "SETSLOT", `${slot}`, "NODE", toId);
      },
    };
  }

  /** Kills a primary that has a replica. */
  async killPrimary(): Promise<void> {
    const primary = this.servers.find((server) => server.command("ROLE").startsWith("master"));
    await waitFor(() => {
      if (primary?.replicasInStep() !== 1) throw new Error("It has no replica yet.");
    }, WAIT);
    await primary?.kill();
  }

  #ownersOf(slot: number): [RedisServer, RedisServer] {
    const primaries = this.servers.filter((server) => server.command("ROLE").startsWith("master"));
    const owner = primaries.find((server) => {
      const [, ranges = ""] = /myself\S* .* connected (.*)/.exec(server.command("CLUSTER", "NODES")) ?? [];
      return [...ranges.matchAll(/(\d+)(?:-(\d+))?/g)].some(
        ([, first, last = first]) => Number(first) <= slot && slot <= Number(last),
      );
    });
    const other = primaries.find((server) => server !== owner);
    if (!owner || !other) throw new Error("The slot is nowhere.");
    return [owner, other];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
  }
}

/** A slot on its way: some of its keys are at the new place already. */
export interface SlotMove {
  /** Moves those of its keys, and says which these were. */
  take(isWanted: (key: string) => boolean): string[];
  /** Moves one of them. @returns false when there is none left */
  next(): boolean;
  /** Moves what is left, and has all servers know. */
  end(): void;
}
