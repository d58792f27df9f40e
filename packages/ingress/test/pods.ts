import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Endpoint } from "@holdfast/routing";

/** A pod for tests: an HTTP server on an address of its own that answers its name. */
export interface Pod {
  readonly name: string;
  readonly server: Server;
  readonly endpoint: Endpoint;
  /** Every request that reached it. */
  readonly seen: IncomingMessage[];
  readonly connections: Set<Socket>;
  /** Ends as SIGKILL would: nothing is finished, nothing accepted. */
  kill(): Promise<void>;
}

export interface PodOptions {
  readonly address?: string;
  readonly port?: number;
  readonly handle?: RequestListener;
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

const pods = new Set<Pod>();

export async function startPod(name: string, options: PodOptions = {}): Promise<Pod> {
  const { address = "127.0.0.1", port = 0 } = options;
  const seen: IncomingMessage[] = [];
  const connections = new Set<Socket>();
  const server = createServer((request, response) => {
    seen.push(request);
    if (options.handle) options.handle(request, response);
    else response.end(name);
  });
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => connections.delete(socket));
  });
  const { upgrade } = options;
  if (upgrade) {
    server.on("upgrade", (request, socket, head) => {
      seen.push(request);
      upgrade(request, socket, head);
    });
  }
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, resolve);
  });
  const pod: Pod = {
    name,
    server,
    endpoint: { address, port: (server.address() as AddressInfo).port, pod: name, healthy: true },
    seen,
    connections,
    kill: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of connections) socket.resetAndDestroy();
      }),
  };
  pods.add(pod);
  return pod;
}

export async function killPods(): Promise<void> {
  await Promise.all([...pods].map((pod) => pod.kill()));
  pods.clear();
}

/** Accepts any upgrade and echoes what comes, after its own name. */
export function echo(name: string): NonNullable<PodOptions["upgrade"]> {
  return (_request, socket, head) => {
    socket.on("error", () => {});
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${name}:`,
    );
    if (head.length > 0) socket.write(head);
    socket.pipe(socket);
  };
}
