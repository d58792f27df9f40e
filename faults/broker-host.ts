import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Broker, connectBroker } from "@holdfast/broker";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { FaultProxy } from "../packages/broker/test/fault-proxy.ts";
import { RedisServer } from "../packages/broker-redis/test/redis-server.ts";

/** What can be done to a broker and the connections to it. */
export type FaultName = "kill" | "full" | "cut" | "black-hole" | "slow" | "away" | "deaf" | "overflow";

const COMMON: readonly FaultName[] = ["kill", "full", "cut", "black-hole", "slow", "away"];

/** The process of a broker that keeps what it accepted, and the proxies on the way to it. */
export interface BrokerHost {
  readonly faults: readonly FaultName[];
  /** Kills it, if it runs, and starts it again. */
  restart(): Promise<void>;
  /** Leaves it no room, until `makeRoom`. */
  fill(): Promise<void>;
  makeRoom(): Promise<void>;
  proxy(): Promise<FaultProxy>;
  /** Of a node's connections, those that it hears by swallow everything from now on. */
  deafen?(proxy: FaultProxy): Promise<void>;
  /** A node reads nothing until the server has ended a connection for that. */
  overflow?(proxy: FaultProxy): Promise<void>;
  /** A node's own client, by way of a proxy's port. */
  connect(port: number): Broker;
  end(): Promise<void>;
}

/** Times that let a run get through many faults. */
const QUICK = { minBackOffMs: 5, maxBackOffMs: 50, heartbeatMs: 100, deadAfterMs: 400, requestMs: 2000 };
/** What Redis lets wait for a subscriber while it is to overflow, and how long that may take. */
const OVERFLOW_BYTES = 256 * 1024;
const OVERFLOW_MS = 5_000;
const JUNK = `$${256 * 1024}\r\n${"x".repeat(256 * 1024)}\r\n`;
const TOKEN = "a-token-for-broker-faults";

/** The embedded broker with a file, served. */
export class ServedHost implements BrokerHost {
  readonly faults = COMMON;
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
  readonly faults: readonly FaultName[] = [...COMMON, "deaf", "overflow"];
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

  async deafen(proxy: FaultProxy): Promise<void> {
    const list = this.#server.command("CLIENT", "LIST", "TYPE", "pubsub");
    for (const [, port] of list.matchAll(/ addr=\S+:(\d+)/g)) proxy.blackHole(Number(port));
  }

  async overflow(proxy: FaultProxy): Promise<void> {
    const ended = () =>
      Number(
        /client_output_buffer_limit_disconnections:(\d+)/.exec(this.#server.command("INFO", "stats"))?.[1],
      );
    const before = ended();
    this.#server.command("CONFIG", "SET", "client-output-buffer-limit", `pubsub ${OVERFLOW_BYTES} 0 0`);
    proxy.hold();
    // What is published to a node's canary means nothing to it, whatever it says.
    const canaries = this.#server
      .command("PUBSUB", "CHANNELS", "holdfast.canary.*")
      .split(/\s+/)
      .filter(Boolean);
    const flood = connect(this.#server.port, "127.0.0.1");
    flood.on("error", () => undefined).resume();
    const deadline = Date.now() + OVERFLOW_MS;
    while (ended() === before && Date.now() < deadline) {
      for (const canary of canaries)
        flood.write(`*3\r\n$7\r\nPUBLISH\r\n$${canary.length}\r\n${canary}\r\n${JUNK}`);
      await pause(5);
    }
    flood.destroy();
    proxy.release();
    this.#server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60");
    if (ended() === before) throw new Error("The server ended no connection that was read too slowly.");
  }

  connect(port: number): Broker {
    return connectRedisBroker(`redis://127.0.0.1:${port}`, QUICK);
  }

  end(): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}
