import type { Socket } from "node:net";
import { BrokerError, type BrokerErrorCode } from "./errors.ts";
import { type Frame, FrameReader } from "./frame.ts";
import { PAGE_BYTES } from "./limits.ts";
import { type ClientMessage, decodeClient, encodeServer, PROTOCOL, type ServerMessage } from "./messages.ts";
import { OutgoingQueue } from "./outgoing-queue.ts";
import type { Broker, ChannelEvent, Entry, History, Subscription } from "./port.ts";

export interface PeerLimits {
  readonly maxFrameBytes: number;
  readonly maxQueuedBytes: number;
  readonly maxChannels: number;
  readonly authenticationMs: number;
  readonly idleMs: number;
}

/** What a peer needs of its server. */
export interface PeerHost {
  readonly broker: Broker;
  readonly limits: PeerLimits;
  authenticate(token: string): boolean;
  /** The frame of an entry, the same for every connection, so that it is encoded once. */
  entryFrame(channel: string, entry: Entry): Frame;
  ended(peer: Peer, code: BrokerErrorCode | undefined, message: string): void;
}

/** Before it has shown its token, a peer gets this much: room for the hello frame. */
const STRANGER_FRAME_BYTES = 1024;

/** Requests of one peer that are under way; beyond these its next ones are left in its socket. */
const MAX_PUBLISHES = 4096;
const MAX_PUBLISH_BYTES = 16 * 1024 * 1024;
const MAX_SUBSCRIBES = 2000;
/** Times a page and its last entry this stays well under the bound on what is queued for a peer. */
const MAX_READS = 4;
/** While more than this is queued for a peer, its requests wait. */
const BUSY_QUEUE_BYTES = 1024 * 1024;

interface Followed {
  open: boolean;
  subscription: Subscription | undefined;
}

/** One connection of a served broker. Whatever it sends, it can end nothing but itself. */
export class Peer {
  readonly #socket: Socket;
  readonly #host: PeerHost;
  readonly #reader = new FrameReader(STRANGER_FRAME_BYTES);
  readonly #queue: OutgoingQueue;
  readonly #channels = new Map<string, Followed>();
  #unwatch: (() => void) | undefined;
  #authenticated = false;
  #ended = false;
  #publishes = 0;
  #publishBytes = 0;
  #reads = 0;
  #subscribes = 0;
  #timer: NodeJS.Timeout;

  constructor(socket: Socket, host: PeerHost) {
    this.#socket = socket;
    this.#host = host;
    this.#queue = new OutgoingQueue(socket, host.limits.maxQueuedBytes, {
      drained: () => this.#pump(),
      overflowed: () => this.end("SLOW_CONSUMER"),
    });
    this.#timer = setTimeout(
      () => this.end("TOKEN_REFUSED", "No token in time."),
      host.limits.authenticationMs,
    );
    this.#timer.unref();
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    // A slow reader that does read is not silent.
    socket.on("drain", () => this.#authenticated && this.#timer.refresh());
    socket.on("error", () => this.#leave(undefined, "The connection broke."));
    socket.on("end", () => this.#leave(undefined, "The other side ended."));
    socket.on("close", () => this.#leave(undefined, "The connection closed."));
  }

  get authenticated(): boolean {
    return this.#authenticated;
  }

  /** Tells the other side why, as far as it still listens, and closes. */
  end(code: BrokerErrorCode, detail?: string): void {
    if (this.#ended) return;
    this.#queue.finish(encodeServer({ type: "bye", code, message: detail ?? "" }));
    this.#leave(code, new BrokerError(code, detail).message);
  }

  #received(chunk: Buffer): void {
    if (this.#ended) return;
    if (this.#authenticated) this.#timer.refresh();
    this.#reader.push(chunk);
    this.#pump();
  }

  /** Serves requests as long as there is room for their work and their answers. */
  #pump(): void {
    try {
      while (!this.#ended && !this.#busy()) {
        const body = this.#reader.next();
        if (!body) break;
        this.#serve(decodeClient(body));
      }
    } catch (error) {
      const { code, message } = failureOf(error);
      this.end(code, message);
    }
    if (this.#ended) return;
    if (this.#busy()) this.#socket.pause();
    else this.#socket.resume();
  }

  #busy(): boolean {
    return (
      this.#queue.bytes > BUSY_QUEUE_BYTES ||
      this.#publishes >= MAX_PUBLISHES ||
      this.#publishBytes >= MAX_PUBLISH_BYTES ||
      this.#reads >= MAX_READS ||
      this.#subscribes >= MAX_SUBSCRIBES
    );
  }

  #serve(message: ClientMessage): void {
    if (!this.#authenticated) {
      this.#admit(message);
      return;
    }
    switch (message.type) {
      case "hello":
        throw new BrokerError("FRAME_INVALID", "A second hello.");
      case "publish":
        void this.#publish(message);
        return;
      case "history":
        void this.#read(message);
        return;
      case "subscribe":
        for (const channel of message.channels) void this.#follow(channel);
        return;
      case "unsubscribe":
        for (const channel of message.channels) this.#unfollow(channel);
        return;
      case "ping":
        this.#send({ type: "pong" });
    }
  }

  #admit(message: ClientMessage): void {
    const { limits, broker } = this.#host;
    if (message.type !== "hello") throw new BrokerError("FRAME_INVALID", "The first frame is a hello.");
    if (!this.#host.authenticate(message.token)) this.end("TOKEN_REFUSED");
    else if (message.protocol !== PROTOCOL) this.end("PROTOCOL_UNSUPPORTED", `Here it is ${PROTOCOL}.`);
    if (this.#ended) return;
    this.#authenticated = true;
    this.#reader.maxBytes = limits.maxFrameBytes;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end("SLOW_CONSUMER", "Silent for too long."), limits.idleMs);
    this.#timer.unref();
    this.#send({ type: "welcome", maxFrameBytes: limits.maxFrameBytes });
    this.#unwatch = broker.watch((status) => {
      this.#send({ type: "status", error: status.type === "unavailable" ? status.error.message : "" });
    });
  }

  async #publish({ id, channel, data, key, retention }: ClientMessage & { type: "publish" }): Promise<void> {
    this.#publishes++;
    this.#publishBytes += data.length;
    const options = {
      ...(key !== undefined && { idempotencyKey: key }),
      ...(retention !== undefined && { retention }),
    };
    await this.#answer(id, async () => {
      const published = await this.#host.broker.publish(channel, data, options);
      return { type: "published", id, ...published };
    });
    this.#publishes--;
    this.#publishBytes -= data.length;
    if (this.#socket.isPaused()) this.#pump();
  }

  async #read({ id, channel, since, limit }: ClientMessage & { type: "history" }): Promise<void> {
    this.#reads++;
    await this.#answer(id, async () => {
      const history = await this.#host.broker.history(channel, { limit, ...(since && { since }) });
      return { ...withinPage(history), id };
    });
    this.#reads--;
    if (this.#socket.isPaused()) this.#pump();
  }

  async #answer(id: number, work: () => Promise<ServerMessage>): Promise<void> {
    try {
      this.#send(await work());
    } catch (error) {
      this.#send({ type: "failed", id, ...failureOf(error) });
    }
  }

  /** The answer is the subscription's own first event, so that it can't be overtaken by an entry. */
  async #follow(channel: string): Promise<void> {
    this.#unfollow(channel);
    if (this.#channels.size >= this.#host.limits.maxChannels) {
      return this.#send({ type: "refused", channel, code: "CHANNEL_LIMIT", message: "On one connection." });
    }
    const followed: Followed = { open: true, subscription: undefined };
    this.#channels.set(channel, followed);
    this.#subscribes++;
    try {
      const subscription = await this.#host.broker.subscribe(channel, (event) => {
        if (followed.open) this.#forward(channel, event);
      });
      if (followed.open) followed.subscription = subscription;
      else release(subscription);
    } catch (error) {
      if (followed.open) {
        this.#channels.delete(channel);
        this.#send({ type: "refused", channel, ...failureOf(error) });
      }
    }
    this.#subscribes--;
    if (this.#socket.isPaused()) this.#pump();
  }

  #unfollow(channel: string): void {
    const followed = this.#channels.get(channel);
    if (!followed) return;
    followed.open = false;
    this.#channels.delete(channel);
    if (followed.subscription) release(followed.subscription);
  }

  #forward(channel: string, event: ChannelEvent): void {
    if (event.type === "entry") this.#queue.add(this.#host.entryFrame(channel, event.entry));
    else this.#send({ channel, ...event });
  }

  #send(message: ServerMessage): void {
    if (!this.#ended) this.#queue.add(encodeServer(message));
  }

  #leave(code: BrokerErrorCode | undefined, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#unwatch?.();
    for (const channel of [...this.#channels.keys()]) this.#unfollow(channel);
    if (code === undefined) this.#socket.destroy();
    this.#host.ended(this, code, message);
  }
}

/** The page's beginning, as much as one frame should hold: a page may always be shorter than what was asked for. */
function withinPage(history: History): History {
  if (history.type !== "page") return history;
  let bytes = 0;
  const end = history.entries.findIndex(({ data }) => {
    bytes += data.length;
    return bytes >= PAGE_BYTES;
  });
  return end < 0 ? history : { ...history, entries: history.entries.slice(0, end + 1) };
}

/** The code and the particulars to send. That this side's broker is closed means to the other that it can't be reached. */
function failureOf(error: unknown): { readonly code: BrokerErrorCode; readonly message: string } {
  if (!(error instanceof BrokerError))
    return { code: "BROKER_UNAVAILABLE", message: error instanceof Error ? error.message : String(error) };
  if (error.code === "BROKER_CLOSED") return { code: "BROKER_UNAVAILABLE", message: "It was closed." };
  return { code: error.code, message: error.detail ?? "" };
}

/** Nothing is left to do about a subscription that can't be closed: its events are dropped already. */
function release(subscription: Subscription): void {
  subscription.close().catch(() => undefined);
}
