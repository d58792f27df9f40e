import { isIP } from "node:net";
import { Redis } from "ioredis";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How a server is entered. */
export interface Credentials {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

export interface ConnectionSettings {
  /** A ping is sent where nothing came for so many milliseconds. */
  readonly heartbeatMs: number;
  /** A connection that owes an answer and sent no byte for so long is given up. */
  readonly deadAfterMs: number;
  /** Certificates in PEM of the authorities that are trusted; absent: those that Node trusts. */
  readonly ca?: string | undefined;
}

export type Argument = string | number | Buffer;

/** What a server answers. Texts stay bytes, and may be part of what was read: copy what is to be kept. */
export type Reply = number | null | Buffer | readonly Reply[];

/** What a subscriber's connection tells. */
export interface Pushes {
  message(channel: string, message: Buffer): void;
  /** The server ended subscriptions by itself; `announced` says which are left. */
  ended(): void;
}

/** One connection to a Redis server, which is not made again: that, and what becomes of its commands then, is its owner's. */
export class Connection {
  readonly address: Address;
  readonly #redis: Redis;
  readonly #timer: NodeJS.Timeout;
  #quiet = false;
  #isGathering = false;
  #closed = false;
  #reason: Error | undefined;
  #onClose: (error: Error) => void = () => undefined;

  private constructor(address: Address, redis: Redis, { heartbeatMs }: ConnectionSettings) {
    this.address = address;
    this.#redis = redis;
    redis.on("error", (error: Error) => {
      this.#reason ??= withoutCommand(error);
    });
    redis.once("close", () => this.close(this.#reason ?? new Error("The server closed the connection.")));
    this.#timer = setInterval(() => this.#beat(), heartbeatMs);
    this.#timer.unref();
  }

  /**
   * @param isSentinel it knows neither databases nor data
   * @throws Error when it can't be made in `deadAfterMs`, or the server is not who it should be; what the server answered
   *   when it does not let in.
   */
  static async open(
    address: Address,
    { tls, username, password, database }: Credentials,
    settings: ConnectionSettings,
    isSentinel = false,
  ): Promise<Connection> {
    const { deadAfterMs, ca } = settings;
    const redis = new Redis({
      ...address,
      ...(tls && { tls: { servername: isIP(address.host) ? "" : address.host, ...(ca && { ca }) } }),
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      db: isSentinel ? 0 : database,
      lazyConnect: true,
      connectTimeout: deadAfterMs,
      socketTimeout: deadAfterMs,
      disconnectTimeout: 0,
      // Whether a command may be sent again is known where it comes from.
      retryStrategy: () => null,
      enableOfflineQueue: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      enableReadyCheck: false,
      disableClientInfo: true,
    });
    const connection = new Connection(address, redis, settings);
    try {
      await redis.connect();
      // A PING is refused by a server that can write no more to its disk; reading is still of use then.
      if (!isSentinel) await redis.echo("holdfast");
      if (connection.#reason) throw connection.#reason;
      return connection;
    } catch (error) {
      connection.close(withoutCommand(error as Error));
      throw connection.#reason ?? error;
    }
  }

  /** From now on; once. */
  onClose(listener: (error: Error) => void): void {
    this.#onClose = listener;
  }

  /**
   * Commands are answered in the order in which they were asked. Arguments are taken at once, without being copied.
   *
   * @throws ReplyError that the server answered; another Error when the connection is lost.
   */
  async ask(name: string, args: readonly Argument[]): Promise<Reply> {
    this.#gather();
    try {
      // The library does not change them.
      return (await this.#redis.callBuffer(name, args as Argument[])) as Reply;
    } catch (error) {
      throw withoutCommand(error as Error);
    } finally {
      this.#quiet = false;
    }
  }

  /** From now on this is told what is announced. */
  subscribe(pushes: Pushes): void {
    const message = (channel: Buffer, bytes: Buffer) => {
      this.#quiet = false;
      if (!this.#closed) pushes.message(channel.toString("latin1"), bytes);
    };
    this.#redis.on("messageBuffer", message);
    this.#redis.on("smessageBuffer", message);
    this.#redis.on("moved", () => pushes.ended());
  }

  /** The PUB/SUB channels of partitions that the server announces here. */
  announced(): readonly string[] {
    const subscriber = this.#redis.condition?.subscriber;
    return subscriber ? subscriber.channels("ssubscribe") : [];
  }

  /** Idempotent. */
  close(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#redis.disconnect();
    this.#onClose(error);
  }

  /** What is asked in one turn of the event loop goes in one write. */
  #gather(): void {
    const { stream } = this.#redis;
    if (this.#isGathering || !stream) return;
    this.#isGathering = true;
    stream.cork();
    setImmediate(() => {
      this.#isGathering = false;
      stream.uncork();
    });
  }

  #beat(): void {
    // Its answer, like that of any other command, is awaited by the library for `deadAfterMs`.
    if (this.#quiet) this.#redis.ping().catch(() => undefined);
    this.#quiet = true;
  }
}

/** The library puts what was asked into an error: passwords and data, which belong in no log. */
function withoutCommand(error: Error): Error {
  Reflect.deleteProperty(error, "command");
  return error;
}
