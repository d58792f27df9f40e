import { type IncomingHttpHeaders, request } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string;
  /** The client's own address. */
  readonly from?: string;
}

/** One request over a connection of its own. */
export function send(to: Address, sent: Sent = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...to,
        agent: false,
        method: sent.method ?? "GET",
        path: sent.path ?? "/",
        headers: { ...sent.headers },
        ...(sent.from !== undefined && { localAddress: sent.from }),
      },
      (response) => {
        const { statusCode: status = 0, headers, rawHeaders } = response;
        text(response).then((body) => resolve({ status, headers, rawHeaders, body }), reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(sent.body);
  });
}

/** The `GCLB` cookie that an answer sets, as a `Cookie` header would return it. */
export function issuedCookie(answer: Answer): string | undefined {
  return answer.headers["set-cookie"]?.find((cookie) => cookie.startsWith("GCLB="))?.split(";")[0];
}

/** A bare connection: what is written is on the wire as it stands. */
export class RawClient {
  readonly socket: Socket;
  received = "";
  ended = false;
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      this.received += chunk;
    });
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("error", () => {});
  }

  static open(to: Address, first = ""): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...to, allowHalfOpen: true }, () => {
        const client = new RawClient(socket);
        socket.off("error", reject);
        if (first !== "") socket.write(first, "latin1");
        resolve(client);
      });
      socket.once("error", reject);
    });
  }
}

export function upgradeHead(headers: readonly string[] = [], path = "/"): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: example.com",
    "Connection: Upgrade",
    "Upgrade: websocket",
    ...headers,
    "\r\n",
  ].join("\r\n");
}
