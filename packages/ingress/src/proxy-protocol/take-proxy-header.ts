import type { Socket } from "node:net";
import { type ProxyHeader, readProxyHeader } from "./proxy-header.ts";

export interface ProxyHeaderHandlers {
  /** The header was taken off. The socket is paused, and gives what follows to whoever reads it next. */
  taken(header: ProxyHeader): void;
  /** There is none. The connection was closed, without a word: whoever is there speaks another protocol. */
  failed(cause: "malformed" | "timeout" | "closed"): void;
}

/**
 * Takes the PROXY protocol's header off a new connection. Exactly one of the handlers is called, once.
 *
 * @param timeoutMs for the whole header; the protocol has no answer to say that it came too late
 */
export function takeProxyHeader(socket: Socket, timeoutMs: number, handlers: ProxyHeaderHandlers): void {
  let bytes: Buffer = Buffer.alloc(0);
  const settle = () => {
    clearTimeout(timer);
    socket.off("data", onData);
    socket.off("close", onClose);
  };
  const fail = (cause: "malformed" | "timeout" | "closed") => {
    settle();
    socket.destroy();
    handlers.failed(cause);
  };
  const onClose = () => fail("closed");
  const onData = (chunk: Buffer) => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const header = readProxyHeader(bytes);
    // What is incomplete is short: the reader bounds it.
    if (header === "incomplete") return;
    if (header === "malformed") {
      fail("malformed");
      return;
    }
    settle();
    socket.pause();
    if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    handlers.taken(header);
  };
  const timer = setTimeout(() => fail("timeout"), timeoutMs);
  socket.on("data", onData);
  socket.on("close", onClose);
}
