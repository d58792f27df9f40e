import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const START_MS = 20_000;

/** A nats-server of a test's own, with JetStream, on a port and in a folder of its own. */
export class NatsServer {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(name: string, folder: string, port: number, args: readonly string[]) {
    this.name = name;
    this.folder = folder;
    this.port = port;
    this.#args = args;
  }

  static async start(args: readonly string[] = [], name = "n1"): Promise<NatsServer> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-nats-"));
    const server = new NatsServer(name, folder, await freePort(), args);
    await server.restart();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Starts it, with what its folder holds. Waits until it takes connections. */
  async restart(): Promise<void> {
    await this.kill();
    const flags = ["-a", "127.0.0.1", "-p", `${this.port}`, "-n", this.name, "-js", "-sd", this.folder];
    const child = spawn(natsServerPath(), [...flags, ...this.#args], { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    let log = "";
    child.stderr.on("data", (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-20_000);
    });
    const deadline = Date.now() + START_MS;
    while (!log.includes("Server is ready")) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`nats-server did not start:\n${log}`);
      await pause(5);
    }
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  /** The process stands still, and goes on. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Ports of servers that don't listen yet, or not just now. */
const given = new Set<number>();

/** A port that is free, below those that the system gives out by itself, and given to nobody in this process before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 14_000 + Math.floor(Math.random() * 6000);
    if (given.has(port)) continue;
    given.add(port);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
}

let found: string | undefined;

/** Where nats-server is: on the path, else installed from Debian where that is allowed. */
function natsServerPath(): string {
  found ??= find() ?? install();
  return found;
}

function find(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin"];
  return folders
    .map((folder) => join(folder, "nats-server"))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function install(): string {
  const what = "These tests need nats-server: apt-get install nats-server, or put it on the path.";
  if (process.getuid?.() !== 0) throw new Error(what);
  try {
    execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "nats-server"], { stdio: "ignore" });
  } catch (cause) {
    throw new Error(what, { cause });
  }
  const path = find();
  if (!path) throw new Error(what);
  return path;
}
