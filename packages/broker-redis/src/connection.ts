import { connect, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { encodeCommand, RedisError, type Reply, ReplyReader } from "./resp.ts";

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
  /** A ping is sent after so many milliseconds without a byte. */
  readonly heartbeatMs: number;
  /** A connection that owes an answer and sent no byte for so long is given up. */
  readonly deadAfterMs: number;
}

type Answered = (reply: Reply) => void;

const PING = encodeCommand(["PING"]);

/**
 * One connection to a Redis server: commands are answered in the order in which they were sent, and what is sent in one
 * turn of the event loop is written at once. What comes while no answer is due, as it does for a subscriber, is pushed.
 */
export class Connection {
  readonly address: Address;
  readonly #socket: Socket | TLSSocket;
  readonly #reader = new ReplyReader();
  readonly #due: Answered[] = [];
  readonly #asking = new Set<(error: Error) => void>();
  readonly #timer: NodeJS.Timeout;
  readonly #settings: ConnectionSettings;
  #first = 0;
  #corked = false;
  #heard = performance.now();
  #pinged = false;
  #closed = false;
  #push: ((reply: Reply) => void) | undefined;
  #onClose: (error: Error) => void = () => undefined;

  private constructor(address: Address, socket: Socket | TLSSocket, settings: ConnectionSettings) {
    this.address = address;
    this.#socket = socket;
    this.#settings = settings;
    socket.setNoDelay(true);
    socket.on("data", (piece) => this.#read(piece));
    socket.on("error", (error) => this.close(error));
    socket.on("close", () => this.close(new Error("The server closed the connection.")));
    this.#timer = setInterval(() => this.#beat(), Math.max(5, settings.heartbeatMs / 2));
    this.#timer.unref();
  }

  /**
   * @param isSentinel it knows neither databases nor data
   * @throws Error when it can't be made in `deadAfterMs`; RedisError when the server does not let in.
   */
  static async open(
    address: Address,
    credentials: Credentials,
    settings: ConnectionSettings,
    isSentinel = false,
  ): Promise<Connection> {
    const socket = credentials.tls
      ? connectTls({ ...address, servername: isName(address.host) ? address.host : "" })
      : connect(address);
    const late = setTimeout(
      () => socket.destroy(new Error("The server did not answer in time.")),
      settings.deadAfterMs,
    );
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once(credentials.tls ? "secureConnect" : "connect", () => resolve());
        socket.once("error", reject);
        socket.once("close", () => reject(new Error("The server closed the connection.")));
      });
      const connection = new Connection(address, socket, settings);
      await connection.#enter(credentials, isSentinel);
      return connection;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  /** From now on; once. */
  onClose(listener: (error: Error) => void): void {
    this.#onClose = listener;
  }

  /** From now on no answers are awaited; everything that comes is pushed. */
  subscribe(push: (reply: Reply) => void): void {
    this.#push = push;
  }

  /** @param answered is not called when the connection is lost. */
  send(bytes: Buffer, answered: Answered): void {
    this.#due.push(answered);
    this.write(bytes);
  }

  /** Sends what has no answer of its own. */
  write(bytes: Buffer): void {
    if (this.#closed) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  /** Rejects with RedisError where the server answers one, and with the reason when the connection is lost. */
  ask(args: readonly (string | number)[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#closed) reject(new Error("The connection was lost."));
      this.#asking.add(reject);
      this.send(encodeCommand(args), (reply) => {
        this.#asking.delete(reject);
        if (reply instanceof RedisError) reject(reply);
        else resolve(reply);
      });
    });
  }

  /** Idempotent. */
  close(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#socket.destroy();
    for (const reject of this.#asking) reject(error);
    this.#onClose(error);
  }

  async #enter({ username, password, database }: Credentials, isSentinel: boolean): Promise<void> {
    if (password !== undefined)
      await this.ask(username === undefined ? ["AUTH", password] : ["AUTH", username, password]);
    if (isSentinel) return;
    if (database !== 0) await this.ask(["SELECT", database]);
    // A PING is refused by a server that can write no more to its disk; reading is still of use then.
    await this.ask(["ECHO", "holdfast"]);
  }

  #read(piece: Buffer): void {
    this.#heard = performance.now();
    this.#pinged = false;
    try {
      this.#reader.push(piece, (reply) => this.#take(reply));
    } catch (error) {
      this.close(error as Error);
    }
  }

  #take(reply: Reply): void {
    if (this.#closed) return;
    if (this.#push) {
      this.#push(reply);
      return;
    }
    const answered = this.#due[this.#first];
    if (!answered) throw new Error("The server answered what it was not asked.");
    this.#due[this.#first++] = () => undefined;
    if (this.#first > 256 && this.#first * 2 > this.#due.length) {
      this.#due.splice(0, this.#first);
      this.#first = 0;
    }
    answered(reply);
  }

  #beat(): void {
    const silent = performance.now() - this.#heard;
    if (silent < this.#settings.heartbeatMs) return;
    if (this.#pinged && silent > this.#settings.deadAfterMs)
      this.close(new Error("The server does not answer any more."));
    else if (!this.#pinged) {
      this.#pinged = true;
      if (this.#push) this.write(PING);
      else this.send(PING, () => undefined);
    }
  }
}

function isName(host: string): boolean {
  return !/^[0-9.]+$|:/.test(host);
}
