import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Endpoint } from "@holdfast/routing";

/** One connection to a raw pod. */
export interface RawPodConnection {
  readonly socket: Socket;
  /** All that came, one character a byte. */
  received: string;
  ended: boolean;
  closed: boolean;
}

/** A pod that says what the test has it say, HTTP or not. */
export interface RawPod {
  readonly endpoint: Endpoint;
  readonly connections: RawPodConnection[];
}

const servers = new Map<Server, RawPodConnection[]>();

/** @param react called whenever bytes have come */
export async function startRawPod(
  react: (connection: RawPodConnection) => void,
  { address = "127.0.0.9" }: { readonly address?: string } = {},
): Promise<RawPod> {
  const connections: RawPodConnection[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection: RawPodConnection = { socket, received: "", ended: false, closed: false };
    connections.push(connection);
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("data", (text: string) => {
      connection.received += text;
      react(connection);
    });
    socket.on("end", () => {
      connection.ended = true;
    });
    socket.on("close", () => {
      connection.closed = true;
    });
  });
  servers.set(server, connections);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { endpoint: { address, port, pod: "raw", healthy: true }, connections };
}

/** Answers every whole request without a body with the same bytes. */
export function answerEach(bytes: string): (connection: RawPodConnection) => void {
  return (connection) => {
    for (let end = connection.received.indexOf("\r\n\r\n"); end !== -1; ) {
      connection.received = connection.received.slice(end + 4);
      connection.socket.write(bytes, "latin1");
      end = connection.received.indexOf("\r\n\r\n");
    }
  };
}

export function endRawPods(): void {
  for (const [server, connections] of servers) {
    server.close();
    for (const { socket } of connections) socket.destroy();
  }
  servers.clear();
}
