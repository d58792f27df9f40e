import {
  type Address,
  Connection,
  type ConnectionSettings,
  type Credentials,
  type Reply,
} from "./connection.ts";
import { slotOf } from "./hash-slot.ts";

/** `host:port`, by which a cluster's servers are told apart. */
export function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly address: Address;
}

/** Which primary has which slots, as a cluster's servers say. */
export class ClusterMap {
  readonly #seeds: readonly Address[];
  readonly #credentials: Credentials;
  readonly #settings: ConnectionSettings;
  #ranges: readonly SlotRange[] = [];
  #reading: Promise<void> | undefined;

  constructor(seeds: readonly Address[], credentials: Credentials, settings: ConnectionSettings) {
    this.#seeds = seeds;
    this.#credentials = credentials;
    this.#settings = settings;
  }

  /** The primary that has the slot of a key; undefined while that is not known. */
  of(key: string): Address | undefined {
    const slot = slotOf(key);
    return this.#ranges.find(({ first, last }) => first <= slot && slot <= last)?.address;
  }

  /** Asks a server again; those who ask meanwhile share the answer. @throws Error when none answers */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    const known = new Map(
      [...this.#seeds, ...this.#ranges.map(({ address }) => address)].map((one) => [nameOf(one), one]),
    );
    const reasons: string[] = [];
    for (const server of shuffled([...known.values()]))
      try {
        const ranges = await this.#ask(server);
        if (ranges.length === 0) throw new Error("It knows of no slots.");
        this.#ranges = ranges;
        return;
      } catch (error) {
        reasons.push(`${nameOf(server)}: ${(error as Error).message}`);
      }
    throw new Error(`No server says where the cluster's slots are. ${reasons.join(" ")}`);
  }

  async #ask(server: Address): Promise<SlotRange[]> {
    const connection = await Connection.open(server, this.#credentials, this.#settings);
    try {
      const reply = await connection.ask("CLUSTER", ["SLOTS"]);
      return (Array.isArray(reply) ? (reply as readonly Reply[]) : []).map((row) => {
        const [first, last, primary] = row as readonly Reply[];
        const [host, port] = primary as readonly Reply[];
        // A server that does not know its own name is where it was asked.
        return {
          first: Number(first),
          last: Number(last),
          address: { host: String(host ?? "") || server.host, port: Number(port) },
        };
      });
    } finally {
      connection.close(new Error("It has answered."));
    }
  }
}

/** So that not all processes ask the same server. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((x, y) => x.at - y.at)
    .map(({ item }) => item);
}
