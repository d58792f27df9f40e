import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy for tests, which can do to a connection what networks do. */
export class FaultProxy {
  readonly port: number;
  readonly #server: Server;
  /** Both ends of each connection, and the one that goes to the target. */
  readonly #sockets = new Map<Socket, Socket>();
  #targetPort: number;
  /** Bytes go nowhere, and nobody is told. */
  #holding = false;
  #refusing = false;
  #chunks = 0;

  private constructor(server: Server, port: number, targetPort: number) {
    this.#server = server;
    this.port = port;
    this.#targetPort = targetPort;
    server.on("connection", (socket) => this.#relay(socket));
  }

  static async open(targetPort: number): Promise<FaultProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (!address || typeof address === "string") throw new Error("A TCP server has a port.");
    return new FaultProxy(server, address.port, targetPort);
  }

  /** Chunks relayed so far, both ways. */
  get chunks(): number {
    return this.#chunks;
  }

  /** The URL of a served broker, by way of this proxy. */
  urlOf(url: string): string {
    return url.replace(/:\d+$/, `:${this.port}`);
  }

  target(port: number): void {
    this.#targetPort = port;
  }

  /** Resets every connection there is. */
  cut(): void {
    for (const socket of this.#sockets.keys()) socket.resetAndDestroy();
  }

  /** From now on until `accept`: connections are cut as they come. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  accept(): void {
    this.#refusing = false;
  }

  /**
   * Swallows all bytes of the connections that there are, both ways, without closing them.
   *
   * @param port only of the connection that the target sees coming from this port
   */
  blackHole(port?: number): void {
    for (const [socket, upstream] of this.#sockets) {
      if (port !== undefined && upstream.localPort !== port) continue;
      socket.removeAllListeners("data");
      socket.resume();
    }
  }

  /** Reads nothing more until `release`. */
  hold(): void {
    this.#holding = true;
    for (const socket of this.#sockets.keys()) socket.pause();
  }

  release(): void {
    this.#holding = false;
    for (const socket of this.#sockets.keys()) socket.resume();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #relay(client: Socket): void {
    client.on("error", () => undefined);
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ port: this.#targetPort, host: "127.0.0.1" });
    this.#join(client, upstream, upstream);
    this.#join(upstream, client, upstream);
  }

  #join(from: Socket, to: Socket, upstream: Socket): void {
    this.#sockets.set(from, upstream);
    from.setNoDelay(true);
    from.on("data", (chunk) => {
      this.#chunks++;
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => {
      if (!this.#holding) from.resume();
    });
    from.on("error", () => undefined);
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
