import type { BrokerError } from "@holdfast/broker";
import { Fence, randomText } from "@holdfast/broker/engine";
import { Canary } from "./canary.ts";
import { type Command, CommandLink, type LinkSettings } from "./command-link.ts";
import type { Address, Connection, Credentials, Reply } from "./connection.ts";
import { brokerError, isRefusal } from "./redis-error.ts";
import type { Router, RouterHost } from "./router.ts";
import { SubscriberLink } from "./subscriber-link.ts";

/**
 * One server, or whichever of its replicas is the primary now: all channels are in one partition. Two connections, since one
 * that is subscribed takes no other commands.
 */
export class SingleRouter implements Router {
  readonly partitions = 1;
  readonly sharded = false;
  readonly #host: RouterHost;
  readonly #locate: () => Promise<Address>;
  readonly #commands: CommandLink;
  readonly #subscriber: SubscriberLink;
  readonly #canary: Canary;
  readonly #fence: Fence;
  readonly #canaryChannel = `holdfast.canary.${randomText(16)}`;
  #moves: NodeJS.Timeout | undefined;
  #run: string | undefined;

  /**
   * @param locate where the primary is now
   * @param moves it may be elsewhere while the one that was it can still be reached
   */
  constructor(
    host: RouterHost,
    locate: () => Promise<Address>,
    credentials: Credentials,
    settings: LinkSettings,
    moves = false,
  ) {
    this.#host = host;
    this.#locate = locate;
    this.#commands = new CommandLink(
      { locate, up: (connection) => this.#up(connection), down: (error) => this.#down(error) },
      credentials,
      settings,
    );
    this.#subscriber = new SubscriberLink(
      {
        locate,
        up: () => this.#tell(),
        down: (error) => this.#down(error),
        following: (channels) => this.#following(channels),
        away: (channels) => {
          this.#canary.rest();
          this.#fence.lost();
          host.away(channels.filter((channel) => channel !== this.#canaryChannel));
        },
        message: (channel, message) => {
          if (channel === this.#canaryChannel) {
            this.#canary.heard();
            this.#fence.heard(message.toString("latin1"));
          } else host.message(channel, message);
        },
        refused: (error) => this.#down(error),
      },
      false,
      credentials,
      settings,
    );
    if (moves) {
      this.#moves = setInterval(() => void this.#checkPlace(), settings.deadAfterMs);
      this.#moves.unref();
    }
    this.#subscriber.follow(0, this.#canaryChannel);
    const publish = (text: string, deadline: number) =>
      this.#commands.run({ name: "PUBLISH", args: [this.#canaryChannel, text], deadline });
    this.#fence = new Fence((token) => publish(token, performance.now() + settings.deadAfterMs));
    this.#canary = new Canary(
      {
        send: (deadline) => publish("", deadline),
        dead: (error) => this.#renew(error),
      },
      settings,
    );
  }

  run(_partition: number, command: Command): Promise<Reply> {
    return this.#commands.run(command);
  }

  follow(partition: number, channel: string): void {
    this.#subscriber.follow(partition, channel);
  }

  unfollow(partition: number, channel: string): void {
    this.#subscriber.unfollow(partition, channel);
  }

  fence(): Promise<void> {
    return this.#fence.passed();
  }

  isFollowing(channel: string): boolean {
    return this.#subscriber.isFollowing(channel);
  }

  close(error: BrokerError): void {
    this.#canary.close();
    this.#fence.lost();
    clearInterval(this.#moves);
    this.#commands.close(error);
    this.#subscriber.close();
  }

  /** Makes both connections again, since what one of them says is not what there is. */
  #renew(error: Error): void {
    this.#commands.renew(error);
    this.#subscriber.renew(error);
  }

  async #checkPlace(): Promise<void> {
    const here = this.#commands.address;
    const there = await this.#locate().catch(() => undefined);
    if (here && there && (here.host !== there.host || here.port !== there.port))
      this.#renew(new Error(`The primary is at ${there.host}:${there.port} now.`));
  }

  async #up(connection: Connection): Promise<void> {
    const run = await runOf(connection);
    const isAnother = this.#run !== undefined && run !== this.#run;
    this.#run = run;
    // The calls of this have to wait until the connection is ready for all.
    if (isAnother) setImmediate(() => this.#host.moved([0]));
    setImmediate(() => this.#tell());
  }

  #down(error: Error): BrokerError | undefined {
    this.#host.unavailable(brokerError(error));
    return isRefusal(error) ? brokerError(error) : undefined;
  }

  #following(channels: readonly string[]): void {
    if (channels.includes(this.#canaryChannel)) this.#canary.begin();
    this.#host.following(channels.filter((channel) => channel !== this.#canaryChannel));
  }

  #tell(): void {
    if (this.#commands.isReady && this.#subscriber.isReady) this.#host.available();
  }
}

/**
 * Which run of which server this is: another one may hold older data. Empty where the server does not say.
 *
 * @throws Error when it is a replica: what is written there is refused, or lost.
 */
export async function runOf(connection: Connection): Promise<string> {
  const info = await connection.ask("INFO", ["server"]).catch(() => "");
  const role = await connection.ask("ROLE", []).catch(() => null);
  if (Array.isArray(role) && Buffer.isBuffer(role[0]) && role[0].toString() === "slave")
    throw new Error("The server is a replica.");
  return /run_id:(\w+)/.exec(String(info))?.[1] ?? "";
}
