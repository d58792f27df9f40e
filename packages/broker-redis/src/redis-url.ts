import { BrokerError } from "@holdfast/broker";
import type { Address, Credentials } from "./connection.ts";

/** What a URL names. */
export interface RedisTarget {
  /** `sentinel`: the addresses are sentinels'; `cluster`: of some of its nodes. */
  readonly type: "single" | "sentinel" | "cluster";
  readonly addresses: readonly Address[];
  /** What the sentinels call the primary. */
  readonly primary: string;
  readonly credentials: Credentials;
}

const FORM =
  /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^:@/?#\s]*)(?::([^@/?#\s]*))?@)?([A-Za-z0-9.:,[\]-]{1,2000})(?:\/([A-Za-z0-9._-]{0,100}))?(?:\/([0-9]{1,5}))?\/?$/;
const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?$/;
const PORT = { single: 6379, sentinel: 26_379, cluster: 6379 } as const;

/**
 * Reads `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `redis+sentinel://[…@]HOST[:PORT],HOST…/PRIMARY[/DATABASE]` or
 * `redis+cluster://[…@]HOST[:PORT],HOST…`; each with `rediss` for TLS. The credentials are those of the servers, also
 * shown to the sentinels when these ask for some.
 *
 * @throws BrokerError `BROKER_URL_INVALID`, whose message never holds the URL: its password is a secret.
 */
export function readRedisUrl(url: string): RedisTarget {
  const [, scheme, kind, user = "", password, hosts = "", first = "", second = ""] = FORM.exec(url) ?? [];
  if (scheme === undefined) throw invalid("It is none of these forms.");
  const type = kind === "sentinel" || kind === "cluster" ? kind : "single";
  const addresses = hosts.split(",").map((host) => readAddress(host, PORT[type]));
  if (type === "single" && addresses.length > 1) throw invalid("redis: names one server.");
  if (type === "sentinel" && first === "") throw invalid("The name of the primary is missing.");
  const database = type === "sentinel" ? second : first;
  if (type !== "sentinel" && second !== "") throw invalid("Nothing follows the database.");
  if (!/^[0-9]{0,5}$/.test(database)) throw invalid("The database is a number.");
  if (type === "cluster" && Number(database) !== 0) throw invalid("A cluster has database 0 only.");
  try {
    const [name, secret] = [decodeURIComponent(user), password && decodeURIComponent(password)];
    return {
      type,
      addresses,
      primary: first,
      credentials: {
        tls: scheme === "rediss",
        username: name === "" || secret === undefined ? undefined : name,
        password: secret ?? (name === "" ? undefined : name),
        database: Number(database),
      },
    };
  } catch {
    throw invalid("Its user or password is not percent-encoded well.");
  }
}

function readAddress(text: string, fallback: number): Address {
  const [, host = "", port] = ADDRESS.exec(text) ?? [];
  const address = { host: host.replace(/^\[|\]$/g, ""), port: port === undefined ? fallback : Number(port) };
  if (host === "" || address.port < 1 || address.port > 65_535) throw invalid("An address in it is none.");
  return address;
}

function invalid(detail: string): BrokerError {
  return new BrokerError(
    "BROKER_URL_INVALID",
    `For Redis it is redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], redis+sentinel://HOST:PORT,…/PRIMARY or redis+cluster://HOST:PORT,…; rediss for TLS. ${detail}`,
  );
}
