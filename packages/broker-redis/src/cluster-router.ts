import { BrokerError } from "@holdfast/broker";
import { randomText } from "@holdfast/broker/engine";
import { Canary } from "./canary.ts";
import { ClusterMap, nameOf } from "./cluster-map.ts";
import { type Command, CommandLink, type LinkSettings, LostAnswer, Retired } from "./command-link.ts";
import type { Address, Connection, Credentials, Reply } from "./connection.ts";
import { brokerError, isAnswer, isRefusal, remedyFor } from "./redis-error.ts";
import type { Router, RouterHost } from "./router.ts";
import { runOf } from "./single-router.ts";
import { SubscriberLink } from "./subscriber-link.ts";

/** So many partitions spread well over up to some dozen servers, and a command for each is still few. */
const PARTITIONS = 128;
const RETRY_MS = 50;

/** One primary: a connection for commands, and one for what it announces. */
interface ClusterNode {
  readonly address: Address;
  readonly commands: CommandLink;
  readonly subscriber: SubscriberLink;
  readonly canary: Canary;
  /** It flies in a partition of this server. */
  canaryPartition: number;
  canaryName: string;
}

/** The primaries of a Redis Cluster (from Redis 7 on, for sharded PUB/SUB), and which partitions each has. */
export class ClusterRouter implements Router {
  readonly partitions = PARTITIONS;
  readonly sharded = true;
  readonly #host: RouterHost;
  readonly #credentials: Credentials;
  readonly #settings: LinkSettings;
  readonly #keyOf: (partition: number) => string;
  readonly #map: ClusterMap;
  readonly #nodes = new Map<string, ClusterNode>();
  /** Where each partition is, as far as is known here. */
  readonly #places = new Map<number, ClusterNode>();
  /** The channels that are wanted, also while their partition's server is not known. */
  readonly #wanted = new Map<string, number>();
  /** Which run of its server each partition was on last. */
  readonly #runs = new Map<number, string>();
  readonly #timer: NodeJS.Timeout;
  #refreshing: Promise<void> | undefined;
  #closed = false;

  constructor(
    host: RouterHost,
    seeds: readonly Address[],
    keyOf: (partition: number) => string,
    credentials: Credentials,
    settings: LinkSettings,
  ) {
    this.#host = host;
    this.#keyOf = keyOf;
    this.#credentials = credentials;
    this.#settings = settings;
    this.#map = new ClusterMap(seeds, credentials, settings);
    this.#timer = setInterval(() => void this.#refresh(), settings.deadAfterMs);
    this.#timer.unref();
    setImmediate(() => void this.#refresh());
  }

  async run(partition: number, asked: Command): Promise<Reply> {
    for (let command = asked; ; command = command.again?.() ?? command) {
      const node = this.#places.get(partition);
      let reason: unknown = new BrokerError("BROKER_UNAVAILABLE", "Where the partition is, is not known.");
      if (this.#closed) throw new BrokerError("BROKER_CLOSED");
      try {
        if (node) return await node.commands.run(command);
      } catch (error) {
        if (!mayRepeat(error, command)) throw error;
        reason = error;
      }
      if (performance.now() + RETRY_MS >= command.deadline) throw brokerError(reason);
      await this.#refresh();
      // The same place again: it is on its way.
      if (this.#places.get(partition) === node) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  follow(partition: number, channel: string): void {
    this.#wanted.set(channel, partition);
    this.#places.get(partition)?.subscriber.follow(partition, channel);
  }

  unfollow(partition: number, channel: string): void {
    this.#wanted.delete(channel);
    this.#places.get(partition)?.subscriber.unfollow(partition, channel);
  }

  isFollowing(channel: string): boolean {
    const partition = this.#wanted.get(channel);
    return partition !== undefined && this.#places.get(partition)?.subscriber.isFollowing(channel) === true;
  }

  close(error: BrokerError): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const { canary, commands, subscriber } of this.#nodes.values()) {
      canary.close();
      commands.close(error);
      subscriber.close();
    }
    this.#nodes.clear();
    this.#places.clear();
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#readMap().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #readMap(): Promise<void> {
    try {
      await this.#map.refresh();
    } catch (error) {
      if (!this.#closed) this.#host.unavailable(brokerError(error));
      return;
    }
    if (this.#closed) return;
    const left = new Map<ClusterNode, Set<number>>();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const address = this.#map.of(this.#keyOf(partition));
      const before = this.#places.get(partition);
      if (!address || (before && nameOf(before.address) === nameOf(address))) continue;
      if (before) left.set(before, (left.get(before) ?? new Set()).add(partition));
      this.#places.set(partition, this.#nodeAt(address, partition));
    }
    for (const [node, partitions] of left) {
      const away = node.subscriber.leavePartitions(partitions).filter((name) => name !== node.canaryName);
      if (away.length > 0) this.#host.away(away);
    }
    for (const [channel, partition] of this.#wanted)
      this.#places.get(partition)?.subscriber.follow(partition, channel);
    this.#settle();
  }

  /** Ends what has no partition any more, and puts each canary where its server is. */
  #settle(): void {
    const owned = new Map<ClusterNode, number>();
    for (const [partition, node] of this.#places) if (!owned.has(node)) owned.set(node, partition);
    for (const [name, node] of this.#nodes) {
      const partition = owned.get(node);
      if (partition === undefined) {
        this.#nodes.delete(name);
        node.canary.close();
        node.commands.retire();
        node.subscriber.close();
      } else if (this.#places.get(node.canaryPartition) !== node) {
        node.canary.rest();
        node.subscriber.unfollow(node.canaryPartition, node.canaryName);
        this.#placeCanary(node, partition);
      }
    }
    this.#tell();
  }

  #nodeAt(address: Address, partition: number): ClusterNode {
    const found = this.#nodes.get(nameOf(address));
    if (found) return found;
    const node = this.#makeNode(address);
    this.#nodes.set(nameOf(address), node);
    this.#placeCanary(node, partition);
    return node;
  }

  #placeCanary(node: ClusterNode, partition: number): void {
    node.canaryPartition = partition;
    node.canaryName = `${this.#keyOf(partition)}canary ${randomText(16)}`;
    node.subscriber.follow(partition, node.canaryName);
  }

  #makeNode(address: Address): ClusterNode {
    const locate = async () => address;
    const down = (error: Error) => {
      this.#host.unavailable(brokerError(error));
      void this.#refresh();
      return isRefusal(error) ? brokerError(error) : undefined;
    };
    const commands = new CommandLink(
      { locate, up: (connection) => this.#up(address, connection), down },
      this.#credentials,
      this.#settings,
    );
    const subscriber = new SubscriberLink(
      {
        locate,
        up: () => this.#tell(),
        down,
        following: (channels) => {
          if (channels.includes(node.canaryName)) node.canary.begin();
          this.#host.following(channels.filter((name) => name !== node.canaryName));
        },
        away: (channels) => {
          if (channels.includes(node.canaryName)) node.canary.rest();
          this.#host.away(channels.filter((name) => name !== node.canaryName));
          void this.#refresh();
        },
        message: (channel, message) => {
          if (channel === node.canaryName) node.canary.heard();
          else this.#host.message(channel, message);
        },
        refused: () => void this.#refresh(),
      },
      true,
      this.#credentials,
      this.#settings,
    );
    const send = (deadline: number) =>
      commands.run({ name: "SPUBLISH", args: [node.canaryName, ""], deadline });
    const dead = (error: Error) => {
      commands.renew(error);
      subscriber.renew(error);
    };
    const node: ClusterNode = {
      address,
      commands,
      subscriber,
      canary: new Canary({ send, dead }, this.#settings),
      canaryName: "",
      canaryPartition: 0,
    };
    return node;
  }

  async #up(address: Address, connection: Connection): Promise<void> {
    const run = await runOf(connection);
    const moved: number[] = [];
    for (const [partition, node] of this.#places) {
      if (nameOf(node.address) !== nameOf(address)) continue;
      const before = this.#runs.get(partition);
      if (before !== undefined && before !== run) moved.push(partition);
      this.#runs.set(partition, run);
    }
    setImmediate(() => {
      if (moved.length > 0) this.#host.moved(moved);
      this.#tell();
    });
  }

  #tell(): void {
    const nodes = [...this.#nodes.values()];
    const isWhole = this.#places.size === PARTITIONS;
    if (isWhole && nodes.every(({ commands, subscriber }) => commands.isReady && subscriber.isReady))
      this.#host.available();
  }
}

/** Whether nothing was done where it was asked, or doing it once more is harmless. */
function mayRepeat(error: unknown, command: Command): boolean {
  if (isAnswer(error)) return remedyFor(error).type === "moved";
  return error instanceof Retired || (error instanceof LostAnswer && command.again !== undefined);
}
