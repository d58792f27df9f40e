import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch, RedisServer, randomPort } from "./redis-server.ts";
import { waitFor } from "./wait-for.ts";

const WAIT = { timeout: 30_000, interval: 50 };

export interface SentinelOptions {
  /** Options of each redis-server. */
  readonly server?: readonly string[];
  /** A server that was silent for so long is down. Default 1 s. */
  readonly downAfterMs?: number;
  /** Half of the least time between two failovers. Default 2 s. */
  readonly failoverMs?: number;
}

/** A primary, two replicas, and three sentinels that watch them. */
export class SentinelSystem {
  readonly servers: readonly RedisServer[];
  readonly #folder: string;
  readonly #sentinels: { readonly port: number; readonly child: ChildProcess }[] = [];

  readonly #options: SentinelOptions;

  private constructor(folder: string, servers: readonly RedisServer[], options: SentinelOptions) {
    this.#folder = folder;
    this.#options = options;
    this.servers = servers;
  }

  static async start(options: SentinelOptions = {}): Promise<SentinelSystem> {
    const { server = [] } = options;
    const folder = await mkdtemp(join(tmpdir(), "holdfast-sentinel-"));
    const primary = await RedisServer.start(...server);
    const replicas = await Promise.all([1, 2].map(() => RedisServer.start(...server)));
    for (const replica of replicas) replica.command("REPLICAOF", "127.0.0.1", `${primary.port}`);
    const system = new SentinelSystem(folder, [primary, ...replicas], options);
    await system.synced(2);
    while (system.#sentinels.length < 3) await system.#addSentinel(primary);
    // A failover needs sentinels that know of each other and of the replicas.
    await waitFor(() => {
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

  /** What each sentinel knows of the servers, for an error. */
  describe(): string {
    const [first] = this.servers;
    const ask = (port: number, what: string) => first?.commandAt(port, "SENTINEL", what, "main");
    return this.#sentinels
      .map(({ port }) => `${ask(port, "MASTER")}\n${ask(port, "REPLICAS")}`)
      .join("\n---\n");
  }

  /** Waits until so many replicas have what the primary has now. */
  async synced(replicas: number): Promise<void> {
    const primary = this.#sentinels.length > 0 ? this.primary : this.servers[0];
    const written = primary?.written;
    await waitFor(() => {
      if ((primary?.replicasInStep(written) ?? 0) < replicas) throw new Error("not yet");
    }, WAIT);
  }

  /** Has the sentinels make a replica the primary, and waits until they say so. The one that was it stays, as a replica. */
  async failOver(): Promise<void> {
    const [sentinel] = this.#sentinels;
    const before = this.primary;
    await waitFor(() => {
      if (this.primary !== before) return;
      // Too soon after another one it is refused; and one that comes to nothing in its time is given up.
      before.commandAt(sentinel?.port ?? 0, "SENTINEL", "FAILOVER", "main");
      throw new Error("No replica has become the primary.");
    }, WAIT).catch((error) => {
      throw new Error(`${error.message} ${this.describe()}`);
    });
  }

  /**
   * Has all servers follow the primary, which the sentinels alone may take 10 s for, and waits until they do, and no
   * sentinel is at a failover: one that names a primary which the others haven't heard of yet never gets over its loss.
   */
  async settled(): Promise<void> {
    await waitFor(() => {
      const { primary } = this;
      if (!this.#agreeOn(primary)) throw new Error("The sentinels don't agree.");
      // A server that the sentinels turn round just now cuts those who ask it off.
      for (const server of this.servers)
        if (server !== primary && !server.command("ROLE").startsWith(`slave\n127.0.0.1\n${primary.port}\n`))
          server.command("REPLICAOF", "127.0.0.1", `${primary.port}`);
      const online = primary.command("INFO", "replication").matchAll(/^slave\d+:.*state=online/gm);
      if ([...online].length < this.servers.length - 1) throw new Error("It has not all of its replicas.");
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

  #agreeOn(primary: RedisServer): boolean {
    return this.#sentinels.every(({ port }) => {
      const lines = primary.commandAt(port, "SENTINEL", "MASTER", "main").split("\n");
      const of = (name: string) => lines[lines.indexOf(name) + 1];
      return of("port") === `${primary.port}` && of("flags") === "master";
    });
  }

  async #addSentinel(primary: RedisServer): Promise<void> {
    const port = randomPort();
    const file = join(this.#folder, `${port}.conf`);
    const lines = [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${this.#folder}`,
      `sentinel monitor main 127.0.0.1 ${primary.port} 2`,
      `sentinel down-after-milliseconds main ${this.#options.downAfterMs ?? 1000}`,
      `sentinel failover-timeout main ${this.#options.failoverMs ?? 2000}`,
      "sentinel parallel-syncs main 2",
    ];
    await writeFile(file, `${lines.join("\n")}\n`);
    const child = await launch("redis-server", [file, "--sentinel"]);
    if (child) this.#sentinels.push({ port, child });
  }
}
