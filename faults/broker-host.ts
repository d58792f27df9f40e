import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, connectBroker } from "@holdfast/broker";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { FaultProxy } from "../packages/broker/test/fault-proxy.ts";
import { RedisServer } from "../packages/broker-redis/test/redis-server.ts";

/** The process of a broker that keeps what it accepted, and the proxies on the way to it. */
export interface BrokerHost {
  /** Kills it, if it runs, and starts it again. */
  restart(): Promise<void>;
  /** Leaves it no room, until `makeRoom`. */
  fill(): Promise<void>;
  makeRoom(): Promise<void>;
  proxy(): Promise<FaultProxy>;
  /** A node's own client, by way of a proxy's port. */
  connect(port: number): Broker;
  end(): Promise<void>;
}

/** Times that let a run get through many faults. */
const QUICK = { minBackOffMs: 5, maxBackOffMs: 50, heartbeatMs: 100, deadAfterMs: 400, requestMs: 2000 };
const TOKEN = "a-token-for-broker-faults";

/** The embedded broker with a file, served. */
export class ServedHost implements BrokerHost {
  readonly #folder: string;
  #port = 0;
  readonly #proxies: FaultProxy[] = [];
  #child: ChildProcess | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(): Promise<BrokerHost> {
    const host = new ServedHost(await mkdtemp(join(tmpdir(), "holdfast-faults-")));
    await host.restart();
    return host;
  }

  async restart(maxFileBytes?: number): Promise<void> {
    await this.#kill();
    const options = JSON.stringify({ path: this.#path, token: TOKEN, maxFileBytes });
    const child = fork(join(import.meta.dirname, "broker-process.ts"), [options], {
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    this.#child = child;
    const ended = once(child, "exit").then(() => {
      throw new Error("the broker ended before it listened");
    });
    const [{ port }] = (await Promise.race([once(child, "message"), ended])) as [{ port: number }];
    ended.catch(() => undefined);
    this.#port = port;
    for (const proxy of this.#proxies) proxy.target(port);
  }

  async proxy(): Promise<FaultProxy> {
    const proxy = await FaultProxy.open(this.#port);
    this.#proxies.push(proxy);
    return proxy;
  }

  connect(port: number): Broker {
    return connectBroker(`holdfast://${TOKEN}@127.0.0.1:${port}`, QUICK);
  }

  async fill(): Promise<void> {
    const { size } = await stat(this.#path);
    await this.restart(Math.max(size, 128 * 1024));
  }

  makeRoom(): Promise<void> {
    return this.restart();
  }

  async end(): Promise<void> {
    await this.#kill();
    await rm(this.#folder, { recursive: true });
  }

  get #path(): string {
    return join(this.#folder, "log.db");
  }

  async #kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
}

/** Redis that syncs each write to its disk before it answers. */
export class RedisHost implements BrokerHost {
  readonly #server: RedisServer;

  private constructor(server: RedisServer) {
    this.#server = server;
  }

  static async start(): Promise<BrokerHost> {
    return new RedisHost(await RedisServer.start("--appendonly", "yes", "--appendfsync", "always"));
  }

  restart(): Promise<void> {
    return this.#server.restart();
  }

  async fill(): Promise<void> {
    this.#server.command("CONFIG", "SET", "maxmemory", "1mb");
  }

  async makeRoom(): Promise<void> {
    this.#server.command("CONFIG", "SET", "maxmemory", "0");
  }

  proxy(): Promise<FaultProxy> {
    return FaultProxy.open(this.#server.port);
  }

  connect(port: number): Broker {
    return connectRedisBroker(`redis://127.0.0.1:${port}`, QUICK);
  }

  end(): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}
