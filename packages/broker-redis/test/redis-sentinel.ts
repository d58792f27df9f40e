import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { launch, RedisServer, randomPort } from "./redis-server.ts";

const WAIT = { timeout: 15_000, interval: 50 };

/** A primary, two replicas, and three sentinels that watch them. */
export class SentinelSystem {
  readonly servers: readonly RedisServer[];
  readonly #folder: string;
  readonly #sentinels: { readonly port: number; readonly child: ChildProcess }[] = [];

  private constructor(folder: string, servers: readonly RedisServer[]) {
    this.#folder = folder;
    this.servers = servers;
  }

  static async start(): Promise<SentinelSystem> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-sentinel-"));
    const primary = await RedisServer.start();
    const replicas = await Promise.all([1, 2].map(() => RedisServer.start()));
    for (const replica of replicas) replica.command("REPLICAOF", "127.0.0.1", `${primary.port}`);
    const system = new SentinelSystem(folder, [primary, ...replicas]);
    await system.synced(2);
    while (system.#sentinels.length < 3) await system.#addSentinel(primary);
    // A failover needs sentinels that know of each other and of the replicas.
    await vi.waitFor(() => {
      for (const { port } of system.#sentinels) {
        const lines = primary.commandAt(port, "SENTINEL", "MASTER", "main").split("\n");
        const of = (name: string) => lines[lines.indexOf(name) + 1];
        if (of("num-other-sentinels") !== "2" || of("num-slaves") !== "2") throw new Error("not yet");
      }
    }, WAIT);
    return system;
  }

  get url(): string {
    return `redis+sentinel://${this.#sentinels.map(({ port }) => `127.0.0.1:${port}`).join()}/main`;
  }

  get primary(): RedisServer {
    const [sentinel] = this.#sentinels;
    const [first] = this.servers;
    if (!sentinel || !first) throw new RangeError("It has servers and sentinels.");
    const [, port] = first
      .commandAt(sentinel.port, "SENTINEL", "get-master-addr-by-name", "main")
      .split("\n");
    const found = this.servers.find((server) => `${server.port}` === port);
    if (!found) throw new Error("The primary is none of these.");
    return found;
  }

  /** Waits until so many replicas have what the primary has. */
  async synced(replicas: number): Promise<void> {
    const primary = this.#sentinels.length > 0 ? this.primary : this.servers[0];
    await vi.waitFor(() => {
      if ((primary?.replicasInStep() ?? 0) < replicas) throw new Error("not yet");
    }, WAIT);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#sentinels) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #addSentinel(primary: RedisServer): Promise<void> {
    const port = randomPort();
    const file = join(this.#folder, `${port}.conf`);
    const lines = [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${this.#folder}`,
      `sentinel monitor main 127.0.0.1 ${primary.port} 2`,
      "sentinel down-after-milliseconds main 1000",
      "sentinel failover-timeout main 2000",
      "sentinel parallel-syncs main 2",
    ];
    await writeFile(file, `${lines.join("\n")}\n`);
    const child = await launch("redis-server", [file, "--sentinel"]);
    if (child) this.#sentinels.push({ port, child });
  }
}
