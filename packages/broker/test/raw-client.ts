import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FrameReader } from "../src/frame.ts";
import { decodeServer, type ServerMessage } from "../src/server-messages.ts";

/** A connection that speaks bytes, and keeps what it is answered until it is closed. */
export class RawClient {
  readonly socket: Socket;
  readonly answers: ServerMessage[] = [];
  readonly closed: Promise<unknown>;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" });
    const reader = new FrameReader(16 * 1024 * 1024);
    this.socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let body = reader.next(); body; body = reader.next()) this.answers.push(decodeServer(body));
    });
    this.socket.on("error", () => undefined);
    this.closed = once(this.socket, "close");
  }

  get bye(): string | undefined {
    const last = this.answers.at(-1);
    return last?.type === "bye" ? last.code : undefined;
  }
}
