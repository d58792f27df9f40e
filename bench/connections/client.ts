import { connect, type Socket } from "node:net";

const END_OF_HEAD = Buffer.from("\r\n\r\n");

/** Engine.IO 4 packets, and the Socket.IO 5 packets inside them: https://socket.io/docs/v4/engine-io-protocol/ */
const PING = "2";
const PONG = maskedText("3");
const CONNECT = maskedText("40");
const CONNECTED = "40{";
/** What a Holdfast server may tell first; it is no answer. */
const EVENT = "42";

export interface Address {
  readonly port: number;
  /** The client's own: one address has ports for some 28,000 connections. */
  readonly source: string;
}

/**
 * One client: a raw socket that knows as much of WebSocket and Socket.IO as a connection takes, so that the server is
 * what bounds how many connect in a second.
 *
 * @returns once Socket.IO has answered that it is connected
 * @throws Error when it answers anything else, or the connection ends; afterwards that is told to `onFailure`
 */
export function openConnection(address: Address, onFailure: (error: Error) => void): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const fail = (error: Error) => {
    reject(error);
    onFailure(error);
  };
  const socket = connect({ host: "127.0.0.1", port: address.port, localAddress: address.source });
  socket.setNoDelay(true);
  socket.write(
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
      "Accept-Language: en-US,en;q=0.5\r\nOrigin: http://bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  let rest = Buffer.alloc(0);
  let hasHead = false;
  socket.on("data", (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (!hasHead) {
      const end = rest.indexOf(END_OF_HEAD);
      if (end < 0) return;
      if (!rest.toString("latin1", 0, end).startsWith("HTTP/1.1 101 ")) {
        return fail(new Error(`the server answered ${rest.toString("latin1", 0, end)}`));
      }
      hasHead = true;
      rest = rest.subarray(end + END_OF_HEAD.length);
      socket.write(CONNECT);
    }
    for (;;) {
      const length = (rest[1] ?? 0) & 0x7f;
      const head = length === 126 ? 4 : 2;
      const size = length === 126 && rest.length >= head ? rest.readUInt16BE(2) : length;
      if (rest.length < 2 || rest.length < head + size) return;
      const text = rest.toString("latin1", head, head + size);
      rest = rest.subarray(head + size);
      if (text === PING) socket.write(PONG);
      else if (text.startsWith(CONNECTED)) resolve(socket);
      else if (!text.startsWith("0{") && !text.startsWith(EVENT)) fail(new Error(`the server sent ${text}`));
    }
  });
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("a connection was closed")));
  return promise;
}

/** A client's frame; the mask changes nothing. */
function maskedText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text, "latin1")]);
}
