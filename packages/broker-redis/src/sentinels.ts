import {
  type Address,
  Connection,
  type ConnectionSettings,
  type Credentials,
  type Reply,
} from "./connection.ts";
import { isAnswer } from "./redis-error.ts";
import type { RedisTarget } from "./redis-url.ts";

/** Asks Redis Sentinel where the primary is. */
export class Sentinels {
  readonly #target: RedisTarget;
  readonly #settings: ConnectionSettings;
  /** The one that answered last is asked first. */
  #addresses: readonly Address[];

  constructor(target: RedisTarget, settings: ConnectionSettings) {
    this.#target = target;
    this.#settings = settings;
    this.#addresses = target.addresses;
  }

  /** @throws Error when no sentinel knows */
  async locate(): Promise<Address> {
    const reasons: string[] = [];
    for (const sentinel of this.#addresses)
      try {
        const address = await this.#ask(sentinel);
        this.#addresses = [sentinel, ...this.#addresses.filter((other) => other !== sentinel)];
        return address;
      } catch (error) {
        reasons.push(`${sentinel.host}:${sentinel.port}: ${(error as Error).message}`);
      }
    throw new Error(`No sentinel says where ${this.#target.primary} is. ${reasons.join(" ")}`);
  }

  async #ask(sentinel: Address): Promise<Address> {
    const { credentials } = this.#target;
    try {
      return await this.#askAs(sentinel, { ...credentials, password: undefined });
    } catch (error) {
      if (!isAnswer(error) || !error.message.startsWith("NOAUTH")) throw error;
      return this.#askAs(sentinel, credentials);
    }
  }

  async #askAs(sentinel: Address, credentials: Credentials): Promise<Address> {
    const connection = await Connection.open(sentinel, credentials, this.#settings, true);
    try {
      const reply = await connection.ask("SENTINEL", ["get-master-addr-by-name", this.#target.primary]);
      const [host, port] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
      if (!host || !port) throw new Error("It knows of no such primary.");
      return { host: String(host), port: Number(String(port)) };
    } finally {
      connection.close(new Error("It has answered."));
    }
  }
}
