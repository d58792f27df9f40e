import type { Socket } from "node:net";
import { type ClientMessage, decodeClient } from "./client-messages.ts";
import { BrokerError, type BrokerErrorCode } from "./errors.ts";
import { type Frame, FrameReader } from "./frame.ts";
import { isLeaseRequest, type LeaseRequest } from "./lease-messages.ts";
import { PAGE_BYTES } from "./limits.ts";
import { CHANNELS_PER_FRAME, PROTOCOL } from "./message-fields.ts";
import { OutgoingQueue } from "./outgoing-queue.ts";
import { PeerLeases } from "./peer-leases.ts";
import type { Broker, ChannelEvent, Entry, History, Subscription } from "./port.ts";
import { type ChannelHead, encodeServer, type ServerMessage } from "./server-messages.ts";

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
  /** The frame of an entry, or a volatile message, the same for every connection, so that it is encoded once. */
  eventFrame(channel: string, of: Entry | Uint8Array): Frame;
  ended(peer: Peer, code: BrokerErrorCode | undefined, message: string): void;
}

/** Before it has shown its token, a peer gets this much: room for the hello frame. */
const STRANGER_FRAME_BYTES = 1024;

/** Requests of one peer that are under way; beyond these its next ones are left in its socket. */
const MAX_WRITES = 4096;
const MAX_WRITE_BYTES = 16 * 1024 * 1024;
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
  readonly #leases: PeerLeases;
  /** Answers to subscribers that go together in one frame, before anything else does. */
  #heads: ChannelHead[] = [];
  #unwatch: (() => void) | undefined;
  #authenticated = false;
  #ended = false;
  #writes = 0;
  #writeBytes = 0;
  #reads = 0;
  #subscribes = 0;
  #timer: NodeJS.Timeout;

  constructor(socket: Socket, host: PeerHost) {
    this.#socket = socket;
    this.#host = host;
    this.#leases = new PeerLeases(host.broker.leases, (answer) => this.#send(answer));
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
      this.#writes >= MAX_WRITES ||
      this.#writeBytes >= MAX_WRITE_BYTES ||
      this.#reads >= MAX_READS ||
      this.#subscribes >= MAX_SUBSCRIBES
    );
  }

  #serve(message: ClientMessage): void {
    if (!this.#authenticated) {
      this.#admit(message);
      return;
    }
    if (isLeaseRequest(message)) {
      this.#serveLeases(message);
      return;
    }
    const { broker } = this.#host;
    switch (message.type) {
      case "hello":
        throw new BrokerError("FRAME_INVALID", "A second hello.");
      case "publish": {
        const { id, channel, data, key, retention } = message;
        const options = {
          ...(key !== undefined && { idempotencyKey: key }),
          ...(retention && { retention }),
        };
        void this.#write(id, data.length, async () => {
          const published = await broker.publish(channel, data, options);
          return { type: "published", id, ...published };
        });
        return;
      }
      case "publish-all": {
        const { id, publications } = message;
        const bytes = publications.reduce((sum, { data }) => sum + data.length, 0);
        void this.#write(id, bytes, async () => {
          return { type: "published-all", id, outcomes: await broker.publishAll(publications) };
        });
        return;
      }
      case "notify": {
        const { id, channel, data } = message;
        void this.#write(id, data.length, async () => {
          await broker.notify(channel, data);
          return { type: "done", id };
        });
        return;
      }
      case "history": {
        const { id, channel, backwards, from, limit } = message;
        const query = backwards
          ? { backwards, limit, ...(from && { before: from }) }
          : { limit, ...(from && { since: from }) };
        void this.#read(id, async () => {
          this.#send({ ...withinPage(await broker.history(channel, query)), id });
        });
        return;
      }
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

  #serveLeases(message: LeaseRequest): void {
    const { leases } = this.#host.broker;
    const { id } = message;
    switch (message.type) {
      case "renew":
        void this.#write(id, 0, async () => {
          return { type: "renewed", id, count: await leases.renew(message.owner, message.ttlMs) };
        });
        return;
      case "put":
        void this.#write(id, message.write.value.length, async () => {
          return { type: "lease-put", id, put: await leases.put(message.write) };
        });
        return;
      case "remove":
        void this.#write(id, 0, async () => {
          return { type: "removed", id, had: await leases.remove(message.owner, message.group, message.key) };
        });
        return;
      case "release":
        void this.#write(id, 0, async () => {
          await leases.release(message.owner);
          return { type: "done", id };
        });
        return;
      case "list":
        void this.#read(id, async () => this.#leases.sendAll(id, await leases.list(message.group)));
        return;
      case "follow":
        void this.#read(id, async () => {
          if (this.#leases.size >= this.#host.limits.maxChannels)
            throw new BrokerError("LEASE_LIMIT", "On one connection.");
          await this.#leases.follow(id, message.group);
        });
        return;
      case "unfollow":
        this.#leases.unfollow(id);
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

  async #write(id: number, bytes: number, work: () => Promise<ServerMessage>): Promise<void> {
    this.#writes++;
    this.#writeBytes += bytes;
    try {
      this.#send(await work());
    } catch (error) {
      this.#send({ type: "failed", id, ...failureOf(error) });
    }
    this.#writes--;
    this.#writeBytes -= bytes;
    if (this.#socket.isPaused()) this.#pump();
  }

  async #read(id: number, work: () => Promise<void>): Promise<void> {
    this.#reads++;
    try {
      await work();
    } catch (error) {
      this.#send({ type: "failed", id, ...failureOf(error) });
    }
    this.#reads--;
    if (this.#socket.isPaused()) this.#pump();
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
    switch (event.type) {
      case "entry":
        this.#sendFrame(this.#host.eventFrame(channel, event.entry));
        return;
      case "volatile":
        this.#sendFrame(this.#host.eventFrame(channel, event.data));
        return;
      case "subscribed":
        this.#sendHead({ channel, head: event.position });
        return;
      case "reset":
        this.#send({ channel, ...event });
        return;
      case "behind":
      case "abreast":
        // The embedded broker tells neither: here all channels are delivered from one transaction after the other.
        return;
    }
  }

  /** Ten thousand channels are answered in a few frames. */
  #sendHead(head: ChannelHead): void {
    if (this.#heads.push(head) === 1) process.nextTick(() => this.#sendHeads());
    else if (this.#heads.length === CHANNELS_PER_FRAME) this.#sendHeads();
  }

  #sendHeads(): void {
    const heads = this.#heads;
    if (heads.length === 0 || this.#ended) return;
    this.#heads = [];
    this.#queue.add(encodeServer({ type: "subscribed", heads }));
  }

  #send(message: ServerMessage): void {
    if (!this.#ended) this.#sendFrame(encodeServer(message));
  }

  #sendFrame(frame: Frame): void {
    if (this.#ended) return;
    if (this.#heads.length > 0) this.#sendHeads();
    this.#queue.add(frame);
  }

  #leave(code: BrokerErrorCode | undefined, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#unwatch?.();
    this.#leases.end();
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
