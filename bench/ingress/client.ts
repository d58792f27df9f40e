import { connect, type Socket } from "node:net";
import type { Dialect } from "./calls.ts";
import { BODY, echoOf, HANDSHAKE, HEAD_END, MESSAGE, REQUEST } from "./wire.ts";

/** Handed from the socket to its client at once, and never kept: one will do for all of them. */
const RECEIVED = Buffer.alloc(64 * 1024);

const STATUS_AT = "HTTP/1.1 ".length;
const CONTENT_LENGTH = new RegExp(`^content-length: ${BODY.length}\r?$`, "im");

export interface ClientOptions {
  readonly port: number;
  readonly dialect: Dialect;
  /** The address it comes from, so that no address runs out of ports. */
  readonly source?: string;
  /** Told of the first thing that goes wrong, a connection that ends unasked included. */
  readonly onFailure: (error: Error) => void;
}

/** A client connection that has one exchange under way at a time, and takes nothing but the right answer to it. */
export class Client {
  readonly #dialect: Dialect;
  readonly #socket: Socket;
  readonly #onFailure: (error: Error) => void;
  /** Its message and the echo of it, which has the same number in it: nobody else's will do. */
  readonly #message = Buffer.from(MESSAGE);
  readonly #echo = echoOf(Buffer.from(MESSAGE));
  #number = 0;
  #rest: Buffer | undefined;
  #state: "opening" | "open" | "closed" = "opening";
  #onAnswer: (() => void) | undefined;
  #sawLength = false;

  /** Resolves when the first exchange can begin: for a WebSocket, after its handshake. */
  static async open(options: ClientOptions): Promise<Client> {
    const opened = Promise.withResolvers<void>();
    const client = new Client(options, (error) => {
      opened.reject(error);
      options.onFailure(error);
    });
    client.#onAnswer = opened.resolve;
    await opened.promise;
    return client;
  }

  private constructor({ port, dialect, source }: ClientOptions, onFailure: (error: Error) => void) {
    this.#dialect = dialect;
    this.#onFailure = onFailure;
    this.#socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      ...(source === undefined ? {} : { localAddress: source }),
      onread: {
        buffer: RECEIVED,
        callback: (length) => {
          this.#take(RECEIVED.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.on("connect", () => {
      if (dialect === "webSocket") this.#socket.write(HANDSHAKE);
      else this.#opened();
    });
    this.#socket.on("error", (error) => this.#fail(error.message));
    this.#socket.on("close", () => this.#fail("the connection was closed"));
  }

  /** Begins an exchange; `onAnswer` is called when its answer is whole. The one before must be. */
  exchange(onAnswer: () => void): void {
    this.#onAnswer = onAnswer;
    if (this.#dialect === "http") {
      this.#socket.write(REQUEST);
      return;
    }
    this.#number = (this.#number + 1) >>> 0;
    this.#message.writeUInt32BE(this.#number, MESSAGE.length - 4);
    this.#echo.writeUInt32BE(this.#number, this.#echo.length - 4);
    this.#socket.write(this.#message);
  }

  /** Closes the connection as a client does that has all it wants, and waits for the other side's end. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    const closed = new Promise((resolve) => this.#socket.once("close", resolve));
    this.#socket.end();
    await closed;
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    if (!this.#isWhole(bytes)) {
      this.#rest = Buffer.from(bytes);
      return;
    }
    this.#rest = undefined;
    if (this.#state === "opening") this.#opened();
    else this.#answered();
  }

  #isWhole(bytes: Buffer): boolean {
    if (this.#state === "opening") return this.#isUpgraded(bytes);
    if (this.#onAnswer === undefined) this.#fail(`nobody asked for "${bytes.toString("latin1")}"`);
    return this.#dialect === "http" ? this.#isAnswer(bytes) : this.#isEcho(bytes);
  }

  #isUpgraded(bytes: Buffer): boolean {
    const end = bytes.indexOf(HEAD_END);
    if (end === -1) return false;
    if (bytes.toString("latin1", STATUS_AT, STATUS_AT + 3) !== "101") return this.#isWrong(bytes);
    return end + HEAD_END.length === bytes.length || this.#isWrong(bytes);
  }

  #isAnswer(bytes: Buffer): boolean {
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd === -1) return false;
    // Once is enough to trust that the body's end is where it is looked for.
    if (!this.#sawLength && !CONTENT_LENGTH.test(bytes.toString("latin1", 0, headEnd))) {
      return this.#isWrong(bytes);
    }
    this.#sawLength = true;
    const begin = headEnd + HEAD_END.length;
    if (bytes.length < begin + BODY.length) return false;
    const right = bytes[STATUS_AT] === "2".charCodeAt(0) && BODY.compare(bytes, begin) === 0;
    return right || this.#isWrong(bytes);
  }

  #isEcho(bytes: Buffer): boolean {
    if (bytes.length < this.#echo.length) return false;
    return this.#echo.compare(bytes) === 0 || this.#isWrong(bytes);
  }

  #isWrong(bytes: Buffer): false {
    this.#fail(`this is no answer over ${this.#dialect}: "${bytes.toString("latin1")}"`);
    return false;
  }

  #opened(): void {
    this.#state = "open";
    this.#answered();
  }

  #answered(): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.();
  }

  #fail(message: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#socket.destroy();
    this.#onFailure(new Error(message));
  }
}
