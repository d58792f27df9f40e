import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { Duplex } from "node:stream";
import * as ws from "ws";
import { SenderWebSocket } from "../stock.ts";
import type { FrameChain } from "./frame-chain.ts";
import { OrderedSender } from "./ordered-sender.ts";

/** A WebSocket that frames can be held back for: whatever else it sends goes after them. */
export class OrderedWebSocket extends SenderWebSocket<OrderedSender> {
  protected override adopt(sender: object): void {
    OrderedSender.adopt(sender, this.extensions === "");
  }

  override send(...args: readonly unknown[]): void {
    // A Blob is read first, and only then given to the sender.
    this.sender?.disturbed();
    super.send(...(args as Parameters<ws.WebSocket["send"]>));
  }
}

// The types have it as a field, which can't be overridden by an accessor.
Object.defineProperty(OrderedWebSocket.prototype, "bufferedAmount", {
  configurable: true,
  get(this: OrderedWebSocket): number {
    const own: number = Reflect.get(ws.WebSocket.prototype, "bufferedAmount", this);
    const { sender } = this;
    return sender ? own + sender.underWay + (sender.pending?.length ?? 0) : own;
  },
});

/** For Socket.IO's option `wsEngine`: `ws` itself, with WebSockets that can be written to in common. */
export class OrderedWebSocketServer extends ws.WebSocketServer {
  constructor(options?: ws.ServerOptions) {
    super({ ...options, WebSocket: OrderedWebSocket as typeof ws.WebSocket });
  }

  /** The answer, and what Engine.IO says at once on the new WebSocket, leave in one write. */
  override handleUpgrade(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    done: (client: ws.WebSocket, request: IncomingMessage) => void,
  ): void {
    stream.cork();
    super.handleUpgrade(request, stream, head, done);
    // Engine.IO waits a few microtasks for the session's id; the next tick comes after all of them.
    queueMicrotask(() => process.nextTick(() => stream.uncork()));
  }
}

/** Why the installed `ws` can't be used so; undefined: it can. Sends over a WebSocket that leads nowhere. */
export function webSocketMisfit(
  chainOf: (text: string) => FrameChain,
  WebSocketClass: new (...args: never[]) => ws.WebSocket = OrderedWebSocket,
): string | undefined {
  const sent: Buffer[] = [];
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent.push(chunk);
      done();
    },
  });
  const taken = () => Buffer.concat(sent.splice(0)).toString("latin1");
  try {
    const webSocket = openOn(stream, WebSocketClass);
    taken();
    const sender = webSocket instanceof OrderedWebSocket ? webSocket.sender : undefined;
    if (!webSocket || !(sender instanceof OrderedSender)) return "a WebSocket has no sender of its own";
    if (!sender.isIdle) return "a new sender is not idle";

    const alone = chainOf("é").bytes().toString("latin1");
    webSocket.send("4é");
    if (taken() !== alone) return "a text makes another frame";
    const writes: readonly (readonly [string, string, () => void])[] = [
      ["send", "\x81\x01x", () => webSocket.send("x")],
      ["a frame made by Engine.IO", "y", () => sender.sendFrame([Buffer.from("y")])],
      ["ping", "\x89\x00", () => webSocket.ping()],
      ["pong", "\x8a\x00", () => webSocket.pong()],
      ["close", "\x88\x00", () => webSocket.close()],
    ];
    for (const [name, bytes, write] of writes) {
      sender.hold(chainOf("é"));
      if (webSocket.bufferedAmount !== alone.length) return "bufferedAmount doesn't count what is held back";
      write();
      if (taken() !== alone + bytes) return `${name} overtakes what is held back`;
    }
    return undefined;
  } catch (error) {
    return `the sender fails: ${error instanceof Error ? error.message : error}`;
  } finally {
    stream.destroy();
  }
}

/** As the upgrade of a client's request, who never says anything. */
function openOn(
  stream: Duplex,
  WebSocketClass: new (...args: never[]) => ws.WebSocket,
): ws.WebSocket | undefined {
  const server = new ws.WebSocketServer({
    noServer: true,
    WebSocket: WebSocketClass as typeof ws.WebSocket,
  });
  const request = new IncomingMessage(new Socket());
  request.method = "GET";
  request.url = "/";
  request.headers = {
    upgrade: "websocket",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "sec-websocket-version": "13",
  };
  let opened: ws.WebSocket | undefined;
  server.handleUpgrade(request, stream, Buffer.alloc(0), (webSocket) => {
    webSocket.on("error", () => {});
    opened = webSocket;
  });
  return opened;
}
