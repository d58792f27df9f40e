import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { BrokerError, type BrokerErrorCode } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { type Bounds, readNumbers } from "./options.ts";
import type { Broker, Entry } from "./port.ts";
import { Peer, type PeerHost } from "./served-peer.ts";
import { encodeServer } from "./server-messages.ts";

export interface ServeBrokerOptions {
  /** The address to listen on. Default 127.0.0.1. Frames are not encrypted: a wider address needs a trusted network. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /**
   * A Unix domain socket to listen on instead, an absolute path of at most 100 bytes. What a dead server left there is
   * removed.
   */
  readonly path?: string;
  /** What a connection must show: 16 to 200 characters of letters, digits, - and _. Default: a random one. */
  readonly token?: string;
  /** Default 1,024, those that have not shown their token yet included. */
  readonly maxConnections?: number;
  /** Connections that have not shown their token yet; past it the oldest is dropped. Default 64. */
  readonly maxStrangers?: number;
  /** The largest frame taken, so about the largest entry. Default 4 MiB. */
  readonly maxFrameBytes?: number;
  /** Bytes that wait for one connection to read them. Past it the connection ends with `SLOW_CONSUMER`. Default 16 MiB. */
  readonly maxQueuedBytes?: number;
  /** Channels that one connection follows. Default 100,000. */
  readonly maxChannels?: number;
  /** How long a connection may take to show its token. Default 5 s. */
  readonly authenticationMs?: number;
  /** A connection from which nothing came for so long is dead. Default 30 s. */
  readonly idleMs?: number;
  /** Told of each connection that ends. */
  readonly onEnd?: (end: ConnectionEnd) => void;
}

export interface ConnectionEnd {
  readonly address: string;
  /** Why the server ended it. Absent: the other side did. */
  readonly code?: BrokerErrorCode;
  readonly message: string;
}

export interface ServedBroker {
  /** For `connectBroker`. It holds the token, so it is a secret. */
  readonly url: string;
  /** 0 for a Unix domain socket. */
  readonly port: number;
  /** Stops listening and ends all connections. The broker itself stays open. Idempotent. */
  close(): Promise<void>;
}

const DEFAULTS = {
  port: 0,
  maxConnections: 1024,
  maxStrangers: 64,
  maxFrameBytes: 4 * 1024 * 1024,
  maxQueuedBytes: 16 * 1024 * 1024,
  maxChannels: 100_000,
  authenticationMs: 5000,
  idleMs: 30_000,
};

const BOUNDS: Bounds<typeof DEFAULTS> = {
  port: [0, 65_535],
  maxConnections: [1, 65_536],
  maxStrangers: [1, 65_536],
  maxFrameBytes: [128 * 1024, 8 * 1024 * 1024],
  maxQueuedBytes: [64 * 1024, 2 ** 31],
  maxChannels: [1, 10_000_000],
  authenticationMs: [1, 600_000],
  idleMs: [1, 3_600_000],
};

const TOKEN = /^[A-Za-z0-9_-]{16,200}$/;

/**
 * Serves a broker to other processes over TCP or a Unix domain socket, for `connectBroker`. All bytes that arrive are taken as hostile: what
 * is malformed, unauthenticated, too large or too slow ends its own connection, with a code.
 *
 * @throws BrokerError `OPTIONS_INVALID`, `ADDRESS_UNAVAILABLE`
 */
export async function serveBroker(broker: Broker, options: ServeBrokerOptions = {}): Promise<ServedBroker> {
  const { host = "127.0.0.1", path, token = randomBytes(24).toString("base64url"), onEnd } = options;
  const numbers = readNumbers(options, DEFAULTS, BOUNDS, ["host", "path", "token", "onEnd"]);
  if (!TOKEN.test(token))
    throw new BrokerError("OPTIONS_INVALID", "token is 16 to 200 characters of letters, digits, - and _.");
  if (path !== undefined && !(path.startsWith("/") && Buffer.byteLength(path) <= 100 && !path.includes("\0")))
    throw new BrokerError("OPTIONS_INVALID", "path is absolute, and has 100 bytes at most.");
  const peers = new Peers(broker, token, numbers, onEnd);
  const server = createServer((socket) => peers.take(socket));
  if (path !== undefined) await removeDeadSocket(path);
  const port = await listen(server, path === undefined ? { host, port: numbers.port } : { path });
  return {
    url: `holdfast://${token}@${path === undefined ? `${reachable(host)}:${port}` : `unix:${path}`}`,
    port,
    close: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      peers.end();
      return closed;
    },
  };
}

/** The connections of one served broker. */
class Peers implements PeerHost {
  readonly broker: Broker;
  readonly limits: typeof DEFAULTS;
  readonly #secret: Buffer;
  readonly #onEnd: ((end: ConnectionEnd) => void) | undefined;
  readonly #peers = new Map<Peer, { readonly address: string }>();
  /** The frame of the latest entry, or volatile message, of a channel. */
  #latest: { readonly channel: string; readonly of: Entry | Uint8Array; readonly frame: Frame } | undefined;

  constructor(
    broker: Broker,
    token: string,
    limits: typeof DEFAULTS,
    onEnd: ((end: ConnectionEnd) => void) | undefined,
  ) {
    this.broker = broker;
    this.limits = limits;
    this.#secret = digest(token);
    this.#onEnd = onEnd;
  }

  take(socket: Socket): void {
    const peer = new Peer(socket, this);
    const { remoteAddress, remotePort } = socket;
    this.#peers.set(peer, { address: remoteAddress ? `${remoteAddress}:${remotePort}` : "unix" });
    const strangers = [...this.#peers.keys()].filter((other) => !other.authenticated);
    // Dropping the oldest keeps the door open to a peer with the token, which shows it at once.
    if (strangers.length > this.limits.maxStrangers)
      strangers[0]?.end("TOKEN_REFUSED", "Too many are waiting.");
    if (this.#peers.size > this.limits.maxConnections)
      peer.end("BROKER_UNAVAILABLE", `It has ${this.limits.maxConnections} connections already.`);
  }

  authenticate(token: string): boolean {
    return timingSafeEqual(digest(token), this.#secret);
  }

  eventFrame(channel: string, of: Entry | Uint8Array): Frame {
    const latest = this.#latest;
    if (latest?.of === of && latest.channel === channel) return latest.frame;
    const frame = encodeServer(
      of instanceof Uint8Array
        ? { type: "volatile", channel, data: of }
        : { type: "entry", channel, entry: of },
    );
    this.#latest = { channel, of, frame };
    return frame;
  }

  ended(peer: Peer, code: BrokerErrorCode | undefined, message: string): void {
    const address = this.#peers.get(peer)?.address ?? "unknown";
    this.#peers.delete(peer);
    this.#onEnd?.({ address, ...(code && { code }), message });
  }

  end(): void {
    for (const peer of [...this.#peers.keys()]) peer.end("BROKER_UNAVAILABLE", "It is shutting down.");
  }
}

async function listen(
  server: Server,
  at: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(at, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const where = "path" in at ? at.path : `${at.host}:${at.port}`;
    throw new BrokerError("ADDRESS_UNAVAILABLE", `${where}: ${why}.`, { cause });
  }
  const address = server.address();
  return address && typeof address === "object" ? address.port : 0;
}

/** A server that was killed leaves its socket behind, on which nobody can listen again. One that answers stays. */
async function removeDeadSocket(path: string): Promise<void> {
  const code = await new Promise<unknown>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (code === "ECONNREFUSED") await rm(path, { force: true });
}

/** Where this machine reaches an address that it listens on. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

/** Digests have one length, whatever was sent, so that comparing them tells nothing by its time. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
