import { connect, type Socket } from "node:net";
import { encodeClient } from "./client-messages.ts";
import { BrokerError } from "./errors.ts";
import { type Frame, FrameReader } from "./frame.ts";
import { PROTOCOL } from "./message-fields.ts";
import { decodeServer, type ServerMessage } from "./server-messages.ts";

/** Where a served broker is: an address, or the path of a Unix domain socket. */
export type LinkTarget = { readonly token: string } & (
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
);

export interface LinkTimes {
  /** A ping goes out when nothing came or went for so long. */
  readonly heartbeatMs: number;
  /** A connection that answers nothing for so long is dead. */
  readonly deadAfterMs: number;
  readonly minBackOffMs: number;
  readonly maxBackOffMs: number;
}

export interface LinkEvents {
  /** The server took the token: what is sent from now on arrives, or `down` follows. */
  up(maxFrameBytes: number): void;
  /** The connection is gone, and is being made again. Also told of each attempt that fails. */
  down(error: BrokerError): void;
  message(message: ServerMessage): void;
}

/** The server's pages hold about 1 MiB and one more entry, which fits into the server's largest frame, at most 8 MiB. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** One connection to a served broker, made again with full-jitter back-off whenever it is lost, until closed. */
export class Link {
  readonly #target: LinkTarget;
  readonly #times: LinkTimes;
  readonly #events: LinkEvents;
  #connection: Connection | undefined;
  #attempt = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(target: LinkTarget, times: LinkTimes, events: LinkEvents) {
    this.#target = target;
    this.#times = times;
    this.#events = events;
    this.#connect();
  }

  get isUp(): boolean {
    return this.#connection?.isUp === true;
  }

  /** Sends a frame on the connection that is up; the frames of one turn of the event loop go together. */
  send(frame: Frame): void {
    this.#connection?.send(frame);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#connection?.end();
  }

  #connect(): void {
    const started = performance.now();
    this.#connection = new Connection(this.#target, this.#times, {
      up: (maxFrameBytes) => this.#events.up(maxFrameBytes),
      message: (message) => this.#events.message(message),
      down: (error) => {
        // A connection that held for a while starts the back-off anew; one that was cut at once does not.
        if (performance.now() - started > this.#times.maxBackOffMs) this.#attempt = 0;
        this.#connection = undefined;
        if (this.#closed) return;
        this.#retry = setTimeout(() => this.#connect(), this.#backOff());
        this.#events.down(error);
      },
    });
  }

  /** Full jitter spreads those who lost the same server at the same moment. */
  #backOff(): number {
    const { minBackOffMs, maxBackOffMs } = this.#times;
    const ceiling = Math.min(maxBackOffMs, minBackOffMs * 2 ** Math.min(this.#attempt++, 20));
    return Math.random() * ceiling;
  }
}

/** One TCP connection, from its opening to its end; `down` is called once. */
class Connection {
  readonly #socket: Socket;
  readonly #times: LinkTimes;
  readonly #events: LinkEvents;
  readonly #reader = new FrameReader(MAX_FRAME_BYTES);
  readonly #heart: NodeJS.Timeout;
  #frames: Frame[] = [];
  #heard = performance.now();
  #said = performance.now();
  #bye: BrokerError | undefined;
  #up = false;
  #over = false;

  constructor(target: LinkTarget, times: LinkTimes, events: LinkEvents) {
    this.#times = times;
    this.#events = events;
    this.#socket = "path" in target ? connect(target.path) : connect({ ...target, noDelay: true });
    this.#socket.on("connect", () => {
      this.#write([encodeClient({ type: "hello", protocol: PROTOCOL, token: target.token })]);
    });
    this.#socket.on("data", (chunk: Buffer) => this.#received(chunk));
    this.#socket.on("error", (cause) => this.#lost(cause));
    this.#socket.on("close", () => this.#lost(undefined));
    this.#heart = setInterval(() => this.#beat(), Math.max(1, Math.floor(times.heartbeatMs / 4)));
    this.#heart.unref();
  }

  get isUp(): boolean {
    return this.#up && !this.#over;
  }

  send(frame: Frame): void {
    if (!this.isUp) return;
    if (this.#frames.push(frame) > 1) return;
    // Not before all that has come to this process by now was served: each of thousands of clients asks for something.
    setImmediate(() => {
      const frames = this.#frames;
      this.#frames = [];
      this.#write(frames);
    });
  }

  end(): void {
    this.#over = true;
    clearInterval(this.#heart);
    this.#socket.destroy();
  }

  #write(frames: readonly Frame[]): void {
    if (this.#over) return;
    this.#said = performance.now();
    const [only] = frames;
    this.#socket.write(frames.length === 1 && only ? only : Buffer.concat(frames));
  }

  #received(chunk: Buffer): void {
    this.#heard = performance.now();
    try {
      this.#reader.push(chunk);
      for (let body = this.#reader.next(); body && !this.#over; body = this.#reader.next())
        this.#take(decodeServer(body));
    } catch (cause) {
      this.#lost(cause);
    }
  }

  #take(message: ServerMessage): void {
    if (message.type === "bye") {
      this.#bye = new BrokerError(message.code, message.message);
      this.#lost(undefined);
    } else if (message.type === "welcome") {
      this.#up = true;
      this.#events.up(message.maxFrameBytes);
    } else if (this.#up) this.#events.message(message);
    else throw new BrokerError("FRAME_INVALID", "The first frame is a welcome.");
  }

  #beat(): void {
    const { heartbeatMs, deadAfterMs } = this.#times;
    const now = performance.now();
    // What arrived while this process was busy is read before this turn of the event loop ends: look again then.
    if (now - this.#heard >= deadAfterMs) setImmediate(() => this.#dieIfSilent());
    else if (this.isUp && (now - this.#heard >= heartbeatMs || now - this.#said >= heartbeatMs))
      this.#write([encodeClient({ type: "ping" })]);
  }

  #dieIfSilent(): void {
    const silence = performance.now() - this.#heard;
    if (silence >= this.#times.deadAfterMs)
      this.#lost(new Error(`Nothing came for ${Math.round(silence)} ms`));
  }

  #lost(cause: unknown): void {
    if (this.#over) return;
    this.end();
    const why = cause instanceof Error ? `${cause.message}.` : "The connection was lost.";
    this.#events.down(this.#bye ?? new BrokerError("BROKER_UNAVAILABLE", why, { cause }));
  }
}
