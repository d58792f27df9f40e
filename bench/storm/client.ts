import { connect, type Socket } from "node:net";

const END_OF_HEAD = Buffer.from("\r\n\r\n");
/** Engine.IO 4 packets, and the Socket.IO 5 packets inside them. */
const PING = "2";
const PONG = maskedText("3");
const CONNECTED = "40{";
const MESSAGE = '42["message",';

/** As `socket.io-client` has it: about a second before the first attempt, twice as much before each further one, up to 5 s. */
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 5_000;
const RANDOMISATION = 0.5;

export interface ClientHost {
  /** The server to come back to. */
  next(): number;
  /** The greatest message number that any client has had. */
  newest(): number;
  received(client: Client, number: number): void;
  /** Back, and in possession of what was sent before it was. */
  caughtUp(client: Client): void;
  failed(error: Error): void;
}

/**
 * One client over WebSocket that does as much as `socket.io-client` with `connectionStateRecovery` does, and nothing else:
 * it keeps the session's id and the last argument of the last packet, and shows both when it comes back.
 */
export class Client {
  readonly #host: ClientHost;
  readonly #source: string;
  #sid = "";
  #pid = "";
  #offset = "";
  #attempts = 0;
  #awaited: number | undefined;
  #onConnected: (() => void) | undefined;
  #next = 0;
  lost = 0;
  doubled = 0;
  recovered = false;

  /** @param source its own address */
  constructor(source: string, host: ClientHost) {
    this.#source = source;
    this.#host = host;
  }

  /** The number of the message that comes next. */
  get next(): number {
    return this.#next;
  }

  /** Resolves once it is connected. */
  open(port: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onConnected = resolve;
      this.#connect(port);
    });
  }

  #connect(port: number): void {
    const socket = connect({ host: "127.0.0.1", port, localAddress: this.#source });
    socket.setNoDelay(true);
    socket.write(
      "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let rest: Buffer = Buffer.alloc(0);
    let hasHead = false;
    socket.on("data", (chunk) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      if (!hasHead) {
        const end = rest.indexOf(END_OF_HEAD);
        if (end < 0) return;
        if (!rest.toString("latin1", 0, end).startsWith("HTTP/1.1 101 ")) return socket.destroy();
        hasHead = true;
        rest = rest.subarray(end + END_OF_HEAD.length);
        const auth = this.#pid === "" ? "" : JSON.stringify({ pid: this.#pid, offset: this.#offset });
        socket.write(maskedText(`40${auth}`));
      }
      rest = this.#frames(socket, rest);
    });
    socket.on("error", () => {});
    socket.on("close", () => this.#again());
  }

  /** @returns what is no whole frame yet */
  #frames(socket: Socket, bytes: Buffer): Buffer {
    let rest = bytes;
    for (;;) {
      const length = (rest[1] ?? 0) & 0x7f;
      const head = length === 126 ? 4 : 2;
      if (rest.length < head) return rest;
      const size = length === 126 ? rest.readUInt16BE(2) : length;
      if (length === 127 || rest.length < head + size) return rest;
      this.#take(socket, rest.toString("latin1", head, head + size));
      rest = rest.subarray(head + size);
    }
  }

  #take(socket: Socket, text: string): void {
    if (text === PING) socket.write(PONG);
    else if (text.startsWith(CONNECTED)) this.#connected(JSON.parse(text.slice(2)));
    else if (text.startsWith("42")) {
      const args: unknown[] = JSON.parse(text.slice(2));
      const last = args.at(-1);
      if (typeof last === "string") this.#offset = last;
      if (text.startsWith(MESSAGE)) this.#message(Number(args[1]));
    } else if (!text.startsWith("0{")) this.#host.failed(new Error(`the server sent ${text}`));
  }

  #connected({ sid, pid }: { sid: string; pid: string }): void {
    this.#attempts = 0;
    this.recovered = sid === this.#sid;
    if (this.#sid !== "") this.#awaited = this.#host.newest();
    [this.#sid, this.#pid] = [sid, pid];
    this.#onConnected?.();
    this.#onConnected = undefined;
    this.#check();
  }

  #message(number: number): void {
    if (number < this.#next) this.doubled++;
    else {
      // What was sent before it was connected for the first time is not its own.
      if (this.#next > 0) this.lost += number - this.#next;
      this.#next = number + 1;
    }
    this.#host.received(this, number);
    this.#check();
  }

  #check(): void {
    if (this.#awaited === undefined || this.#next <= this.#awaited) return;
    this.#awaited = undefined;
    this.#host.caughtUp(this);
  }

  #again(): void {
    const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts++);
    setTimeout(
      () => this.#connect(this.#host.next()),
      delay * (1 - RANDOMISATION + 2 * RANDOMISATION * Math.random()),
    );
  }
}

/** A client's frame; the mask changes nothing. */
function maskedText(text: string): Buffer {
  const head =
    text.length < 126 ? [0x81, 0x80 | text.length] : [0x81, 0xfe, text.length >> 8, text.length & 0xff];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), Buffer.from(text, "latin1")]);
}
