import { WebSocket } from "ws";
import { type Dialect, ROOM } from "./calls.ts";
import { PAYLOAD_BYTES, readNumber, readSentAt } from "./payload.ts";

/** Engine.IO 4 packets, and the Socket.IO 5 packets inside them: https://socket.io/docs/v4/engine-io-protocol/ */
const PING = "2";
const PONG = "3";
const CONNECT = "40";
const ACK_0 = "430";

/** What comes after the payload in a frame: nothing, or the end of a string and of an event's arguments. */
const TAIL_BYTES: Readonly<Record<Dialect, number>> = { frames: 0, room: 2, channel: 2 };

/** Told of every message that came in its turn, with the time it was sent at. */
export type OnDelivery = (sentAt: number) => void;

/**
 * One client: a bare WebSocket that speaks as much of Socket.IO as its subject needs, since the stock client would
 * cost the load generator more than the server is measured at. It takes message n + 1 after message n, and nothing else.
 */
export class Subscriber {
  readonly #socket: WebSocket;
  readonly #dialect: Dialect;
  readonly #onDelivery: OnDelivery;
  readonly #onFailure: (error: Error) => void;
  readonly #name: string;
  #next = 0;

  /** Resolves when the subscriber is in the room. After that, whatever goes wrong is told to `onFailure`. */
  static async connect(
    name: string,
    address: { readonly port: number; readonly dialect: Dialect },
    onDelivery: OnDelivery,
    onFailure: (error: Error) => void,
  ): Promise<Subscriber> {
    const subscriber = new Subscriber(name, address, onDelivery, onFailure);
    await subscriber.#join();
    return subscriber;
  }

  private constructor(
    name: string,
    address: { readonly port: number; readonly dialect: Dialect },
    onDelivery: OnDelivery,
    onFailure: (error: Error) => void,
  ) {
    const path = address.dialect === "frames" ? "/" : "/socket.io/?EIO=4&transport=websocket";
    this.#socket = new WebSocket(`ws://127.0.0.1:${address.port}${path}`, { perMessageDeflate: false });
    this.#dialect = address.dialect;
    this.#onDelivery = onDelivery;
    this.#onFailure = onFailure;
    this.#name = name;
  }

  /** How many messages it has. */
  get received(): number {
    return this.#next;
  }

  get name(): string {
    return this.#name;
  }

  #join(): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        reject(error);
        this.#onFailure(error);
      };
      socket.on("error", (error) => fail(new Error(`${this.#name}: ${error.message}`, { cause: error })));
      socket.on("close", (code) => fail(new Error(`${this.#name} was disconnected with code ${code}`)));
      const joined = () => {
        socket.off("message", onHandshake);
        socket.on("message", (frame: Buffer) => this.#take(frame));
        resolve();
      };
      const onHandshake = (frame: Buffer) => {
        const packet = frame.toString("latin1");
        if (packet === PING) socket.send(PONG);
        else if (packet.startsWith(CONNECT)) {
          if (this.#dialect === "room") joined();
          else socket.send(`420["holdfast:subscribe",${JSON.stringify({ channel: ROOM })}]`);
        } else if (packet.startsWith(ACK_0)) {
          if (packet.startsWith(`${ACK_0}[{"ok":true`)) joined();
          else fail(new Error(`${this.#name} could not subscribe: ${packet}`));
        }
      };
      socket.on("message", onHandshake);
      socket.on("open", () => {
        if (this.#dialect === "frames") joined();
        else socket.send(CONNECT);
      });
    });
  }

  #take(frame: Buffer): void {
    if (frame.length === PING.length) {
      this.#socket.send(PONG);
      return;
    }
    const start = frame.length - TAIL_BYTES[this.#dialect] - PAYLOAD_BYTES;
    const number = readNumber(frame, start);
    if (number !== this.#next) {
      this.#onFailure(
        new Error(`${this.#name} waits for message ${this.#next} and got: ${frame.toString("utf8")}`),
      );
      return;
    }
    this.#next++;
    this.#onDelivery(readSentAt(frame, start));
  }
}
