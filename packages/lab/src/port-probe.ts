import { connect, createServer, type Server } from "node:net";

/** Milliseconds between two attempts to connect: short at first, for pods are mostly ready within a blink. */
const FIRST_INTERVAL_MS = 10;
const MAX_INTERVAL_MS = 200;
const CONNECT_TIMEOUT_MS = 1000;

/** Resolves with true once the port accepts a connection; with false as soon as the signal is aborted. */
export async function acceptsConnections(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<boolean> {
  let intervalMs = FIRST_INTERVAL_MS;
  while (!signal.aborted) {
    if (await tryConnect(address, port)) return !signal.aborted;
    await pause(intervalMs, signal);
    intervalMs = Math.min(intervalMs * 1.5, MAX_INTERVAL_MS);
  }
  return false;
}

/** Listens once, to learn whether a process may; undefined when it may, else the error's code such as `EACCES`. */
export async function whyNotBound(address: string, port: number): Promise<string | undefined> {
  const claimed = await claimPort(address, port);
  if (typeof claimed === "string") return claimed;
  await new Promise<void>((resolve) => claimed.close(() => resolve()));
  return undefined;
}

/** Holds a port for as long as the server is kept; the error's code when it can't be had. */
export function claimPort(address: string, port: number): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: address, port, exclusive: true }, () => resolve(server.unref()));
  });
}

function tryConnect(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: CONNECT_TIMEOUT_MS });
    const answer = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => {
      // A connection from a port to itself succeeds without any listener (TCP's simultaneous open, RFC 9293 3.5).
      answer(socket.localPort !== port || socket.localAddress !== address);
    });
    socket.once("timeout", () => answer(false));
    socket.on("error", () => answer(false));
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
