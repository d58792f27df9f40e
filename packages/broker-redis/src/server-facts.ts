import type { Connection } from "./connection.ts";
import type { RedisBrokerEvent } from "./events.ts";

/** What a server says of how it keeps what it accepts. */
export interface ServerFacts {
  readonly version: string;
  readonly appendonly: "yes" | "no";
  readonly appendfsync?: string;
  readonly save?: string;
  readonly replicas: number;
  readonly minReplicas?: number;
  /** Bytes past which it evicts or refuses; 0: none. */
  readonly maxMemory: number;
  readonly policy: string;
}

const SETTINGS = ["appendfsync", "save", "min-replicas-to-write"] as const;

/** Asks a server, of which managed ones forbid CONFIG; what only that says is absent then. @throws Error when it is lost */
export async function readServerFacts(connection: Connection): Promise<ServerFacts> {
  const info = String(await connection.ask("INFO", []));
  const said = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, "m").exec(info)?.[1] ?? "";
  const [appendfsync, save, minReplicas] = await Promise.all(
    SETTINGS.map((name) => readSetting(connection, name)),
  );
  return {
    version: said("valkey_version") || said("redis_version"),
    appendonly: said("aof_enabled") === "1" ? "yes" : "no",
    ...(appendfsync !== undefined && { appendfsync }),
    ...(save !== undefined && { save }),
    replicas: Number(said("connected_slaves")),
    ...(minReplicas !== undefined && { minReplicas: Number(minReplicas) }),
    maxMemory: Number(said("maxmemory")),
    policy: said("maxmemory_policy"),
  };
}

/** What is told of a server. */
export function eventsOf(server: string, facts: ServerFacts): readonly RedisBrokerEvent[] {
  const { maxMemory, policy, ...rest } = facts;
  const connected = { type: "connected", server, ...rest, durability: durabilityOf(facts) } as const;
  const evicts = maxMemory > 0 && policy !== "" && policy !== "noeviction";
  return evicts ? [connected, { type: "may-evict", server, policy }] : [connected];
}

/** How safe what is accepted is, in plain words. */
export function durabilityOf(facts: ServerFacts): string {
  return [onDisk(facts), ...onReplicas(facts)].join("; ");
}

function onDisk({ appendonly, appendfsync, save }: ServerFacts): string {
  if (appendonly === "yes")
    switch (appendfsync) {
      case "always":
        return "on the server's disk before it is accepted (appendfsync always)";
      case "everysec":
        return "in its append-only file, which is synced each second: a crash may lose about a second (appendfsync everysec)";
      case undefined:
        return "in its append-only file; the server does not say how that is synced";
      default:
        return `in its append-only file, which is synced when the system likes: a crash of the machine may lose some (appendfsync ${appendfsync})`;
    }
  if (save === undefined)
    return "in memory; the server does not say whether it makes snapshots (appendonly no)";
  return save === ""
    ? "in memory only: a restart loses all of it (appendonly no, no snapshots)"
    : `in memory, and in snapshots: a restart loses what came after the last one (appendonly no, save ${save})`;
}

function onReplicas({ replicas, minReplicas }: ServerFacts): readonly string[] {
  const refuses =
    minReplicas === undefined || minReplicas === 0
      ? []
      : [`refused while fewer than ${minReplicas} replicas are connected (min-replicas-to-write)`];
  const names = replicas === 1 ? "its replica has" : `its ${replicas} replicas have`;
  return replicas === 0
    ? refuses
    : [`${names} it a moment later: if one takes over, the newest may be lost`, ...refuses];
}

async function readSetting(connection: Connection, name: string): Promise<string | undefined> {
  const reply = await connection.ask("CONFIG", ["GET", name]).catch(() => undefined);
  const value = Array.isArray(reply) ? reply[1] : undefined;
  return Buffer.isBuffer(value) ? value.toString() : undefined;
}
