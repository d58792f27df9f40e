import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { answerHarness } from "../child.ts";
import type { PodCalls } from "./calls.ts";
import { ANSWER, echoOf, HANDSHAKE, HANDSHAKE_ANSWER, HEAD_END, MESSAGE } from "./wire.ts";

// A pod that costs next to nothing: it answers what the bench's clients send, and reads no more of it than it must.
const WEB_SOCKET_PATH = HANDSHAKE.indexOf("/ws") + 1;
const WEB_SOCKET = HANDSHAKE[WEB_SOCKET_PATH];

/** What has come of a request or message and isn't whole yet. */
type Rest = Buffer | undefined;

const server = createServer({ noDelay: true }, (socket) => {
  let rest: Rest;
  let upgraded = false;
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk;
    if (upgraded) rest = echo(socket, bytes);
    else if (bytes[WEB_SOCKET_PATH] === WEB_SOCKET && bytes.includes(HEAD_END)) {
      upgraded = true;
      rest = undefined;
      socket.write(HANDSHAKE_ANSWER);
    } else rest = answer(socket, bytes);
  });
});

function answer(socket: Socket, bytes: Buffer): Rest {
  let begin = 0;
  for (let end = bytes.indexOf(HEAD_END); end !== -1; end = bytes.indexOf(HEAD_END, begin)) {
    socket.write(ANSWER);
    begin = end + HEAD_END.length;
  }
  return begin < bytes.length ? bytes.subarray(begin) : undefined;
}

function echo(socket: Socket, bytes: Buffer): Rest {
  let begin = 0;
  for (; bytes.length - begin >= MESSAGE.length; begin += MESSAGE.length) {
    socket.write(echoOf(bytes.subarray(begin, begin + MESSAGE.length)));
  }
  return begin < bytes.length ? bytes.subarray(begin) : undefined;
}

server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 });
await once(server, "listening");

answerHarness<PodCalls>({ port: () => (server.address() as AddressInfo).port });
