import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

/** Below the ports that Linux gives to outgoing connections, and so that a cluster's second port is valid, too. */
const [FIRST_PORT, LAST_PORT] = [10_000, 22_000];
const TRIES = 20;
/** From a server's port to the one for TLS. */
const TLS_AWAY = 25_000;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A Redis server of a test's own, on a port and in a folder of its own. */
export class RedisServer {
  readonly port: number;
  readonly #folder: string;
  readonly #arguments: readonly string[];
  #child: ChildProcess;

  private constructor(port: number, folder: string, options: readonly string[], child: ChildProcess) {
    this.port = port;
    this.#folder = folder;
    this.#arguments = options;
    this.#child = child;
  }

  /** @param options of redis-server, over: no persistence, on 127.0.0.1. `--tls` alone: also on `tlsPort`. */
  static async start(...options: readonly string[]): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-redis-"));
    for (let tries = 0; tries < TRIES; tries++) {
      const port = randomPort();
      const child = await launch("redis-server", argumentsFor(port, folder, options));
      if (child) return new RedisServer(port, folder, options, child);
    }
    throw new Error("redis-server did not start on any of the ports that were tried.");
  }

  get tlsPort(): number {
    return this.port + TLS_AWAY;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** One command, on a connection of its own. */
  command(...args: readonly string[]): string {
    return this.commandAt(this.port, ...args);
  }

  /** The same at another port of this machine. */
  commandAt(port: number, ...args: readonly string[]): string {
    const where = ["-h", "127.0.0.1", "-p", `${port}`];
    return execFileSync(findBinary("redis-cli"), [...where, ...args], {
      encoding: "utf8",
      timeout: 10_000,
      stdio: "pipe",
    }).trim();
  }

  /** How far its history of writes has come. */
  get written(): number {
    return Number(/^master_repl_offset:(\d+)/m.exec(this.command("INFO", "replication"))?.[1]);
  }

  /**
   * Replicas that have all that this server has, or what it had at `written`. WAIT would speak for the connection that asks,
   * which wrote nothing.
   */
  replicasInStep(written = this.written): number {
    const info = this.command("INFO", "replication");
    const offsets = info.matchAll(/^slave\d+:.*state=online,offset=(\d+)/gm);
    return [...offsets].filter(([, offset]) => Number(offset) >= written).length;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    this.#child.kill("SIGCONT");
    await ended;
  }

  /** It neither answers nor ends, until `resume`. */
  suspend(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Starts it again where it was, with what it has on its disk. */
  async restart(): Promise<void> {
    await this.kill();
    const deadline = Date.now() + 10_000;
    for (;;) {
      const child = await launch("redis-server", argumentsFor(this.port, this.#folder, this.#arguments));
      if (child) {
        this.#child = child;
        return;
      }
      if (Date.now() > deadline) throw new Error("redis-server did not start again.");
      await pause(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** One that nobody may listen on. */
export function randomPort(): number {
  return FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
}

function argumentsFor(port: number, folder: string, options: readonly string[]): string[] {
  const own = [
    "--port",
    `${port}`,
    "--bind",
    "127.0.0.1",
    "--dir",
    folder,
    "--save",
    "",
    "--repl-diskless-sync-delay",
    "0",
    "--daemonize",
    "no",
  ];
  const tls = ["--tls-port", `${port + TLS_AWAY}`];
  return [...own, ...options.flatMap((option) => (option === "--tls" ? tls : [option]))];
}

/** Starts it. @returns undefined when it ended before it was ready. */
export async function launch(name: string, args: readonly string[]): Promise<ChildProcess | undefined> {
  const child = spawn(findBinary(name), args, { stdio: ["ignore", "pipe", "ignore"] });
  running.add(child);
  const ended = once(child, "exit").then(() => {
    running.delete(child);
    return false;
  });
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise<boolean>((resolve) => {
    lines.on("line", (line) => {
      if (/Ready to accept connections|Sentinel ID is/.test(line)) resolve(true);
    });
  });
  return (await Promise.race([ready, ended])) ? child : undefined;
}

/** Finds a program of Redis, or installs it from Debian where that is allowed. */
export function findBinary(name: string): string {
  const found = onPath(name);
  if (found) return found;
  if (process.getuid?.() === 0) {
    for (const args of [
      ["update"],
      ["install", "-y", "--no-install-recommends", "redis-server", "redis-sentinel"],
    ])
      try {
        execFileSync("apt-get", args, { stdio: "ignore" });
      } catch {
        break;
      }
    const installed = onPath(name);
    if (installed) return installed;
  }
  throw new Error(
    `These tests need ${name}: install it (Debian: apt-get install redis-server redis-sentinel).`,
  );
}

function onPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/usr/sbin", "/usr/local/bin"];
  return folders.map((folder) => join(folder, name)).find((path) => isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
