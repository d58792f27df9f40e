import type { Abilities } from "./abilities.ts";
import { type ClientMessage, encodeClient } from "./client-messages.ts";
import { BrokerError } from "./errors.ts";
import type { Listener } from "./feed.ts";
import {
  checkBatch,
  checkHistory,
  checkNotify,
  checkPublish,
  checkSubscribe,
  PAGE_ENTRIES,
} from "./limits.ts";
import { Link, type LinkTarget } from "./link.ts";
import { CHANNELS_PER_FRAME } from "./message-fields.ts";
import { type Bounds, readNumbers } from "./options.ts";
import type {
  Broker,
  BrokerStatus,
  History,
  HistoryQuery,
  Position,
  Publication,
  Published,
  PublishOptions,
  PublishOutcome,
  SubscribeOptions,
  Subscription,
} from "./port.ts";
import { randomText } from "./random-text.ts";
import { type ChannelHost, RemoteChannel } from "./remote-channel.ts";
import { RemoteLeases } from "./remote-leases.ts";
import { Requests } from "./requests.ts";
import type { ServerMessage } from "./server-messages.ts";
import { Status, warnOfListener } from "./status.ts";
import { Turns } from "./turns.ts";

export interface ConnectBrokerOptions {
  /** How long a call may take, lost connections included. Past it: `BROKER_UNAVAILABLE`. Default 10 s. */
  readonly requestMs?: number;
  /** Calls that wait for their answer. Past it: `BROKER_UNAVAILABLE` at once. Default 10,000. */
  readonly maxPending?: number;
  /** Bytes of those calls, likewise. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /** Back-off between attempts to connect: a random part of this, doubled each time. Default 50 ms. */
  readonly minBackOffMs?: number;
  /** Up to this. Default 2 s. */
  readonly maxBackOffMs?: number;
  /** A ping is sent after so long without a frame. Default 5 s. */
  readonly heartbeatMs?: number;
  /** A connection on which nothing came for so long is given up. Default 10 s. */
  readonly deadAfterMs?: number;
  /** Told what a listener threw. Default: a Node warning. */
  readonly onListenerError?: (error: unknown) => void;
}

const DEFAULTS = {
  requestMs: 10_000,
  maxPending: 10_000,
  maxPendingBytes: 64 * 1024 * 1024,
  minBackOffMs: 50,
  maxBackOffMs: 2000,
  heartbeatMs: 5000,
  deadAfterMs: 10_000,
};

const BOUNDS: Bounds<typeof DEFAULTS> = {
  requestMs: [1, 600_000],
  maxPending: [1, 1_000_000],
  maxPendingBytes: [1, 2 ** 31],
  minBackOffMs: [1, 60_000],
  maxBackOffMs: [1, 600_000],
  heartbeatMs: [10, 600_000],
  deadAfterMs: [20, 600_000],
};

const URL_FORM =
  /^holdfast:\/\/([A-Za-z0-9_-]{1,200})@(?:unix:(\/[^\0]{1,100})|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})\/?)$/;

/** What a publication needs in a frame beside its data: its channel, and a key whose characters have three bytes each. */
const PUBLICATION_OVERHEAD = 1024;

/** The server serves an embedded broker; whether that has a file is its own affair, and a restart's epochs tell. */
const ABILITIES: Abilities = {
  durable: "Whether the server keeps its logs in a file is not known on this side.",
  atomicBatch: true,
  oneSequence: true,
  retention: true,
  volatile: true,
  backwards: true,
  leases: true,
};

/** Channels of one connection that read what they missed at one time; a server serves four at once. */
const CATCHING_UP = 32;

/**
 * A broker that another process serves with `serveBroker`, over one TCP connection, which is made again whenever it
 * is lost.
 *
 * Calls wait for the connection, and survive its loss, for `requestMs`. A publish has an idempotency key of its own
 * where the caller gives none, so that repeating it after a lost answer appends nothing; where the caller gives one,
 * such a repeat may be answered with `duplicate`.
 *
 * A refused token (`TOKEN_REFUSED`) or version (`PROTOCOL_UNSUPPORTED`) fails calls at once, until an attempt succeeds.
 *
 * @throws BrokerError `BROKER_URL_INVALID`, `OPTIONS_INVALID`
 */
export function connectBroker(url: string, options: ConnectBrokerOptions = {}): Broker {
  const numbers = readNumbers(options, DEFAULTS, BOUNDS, ["onListenerError"]);
  const { onListenerError = warnOfListener } = options;
  return new RemoteBroker(readTarget(url), numbers, onListenerError);
}

class RemoteBroker implements Broker, ChannelHost {
  readonly abilities: Abilities = ABILITIES;
  readonly leases: RemoteLeases;
  readonly onListenerError: (error: unknown) => void;
  readonly subscribeMs: number;
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #status: Status;
  readonly #channels = new Map<string, RemoteChannel>();
  readonly #reads = new Turns(CATCHING_UP);
  /** What this turn of the event loop asks of the server about its channels; the last word on each. */
  readonly #asked = new Map<string, "subscribe" | "unsubscribe">();
  readonly #keyPrefix = randomText(16);
  #keys = 0;
  #maxFrameBytes = Number.POSITIVE_INFINITY;
  /** Why the server took no connection, while calling again is of no use. */
  #refusal: BrokerError | undefined;
  #closed = false;

  constructor(target: LinkTarget, settings: typeof DEFAULTS, onListenerError: (error: unknown) => void) {
    this.onListenerError = onListenerError;
    this.subscribeMs = settings.requestMs;
    const waiting = new BrokerError("BROKER_UNAVAILABLE", "The connection is being made.");
    this.#status = new Status({ type: "unavailable", error: waiting }, onListenerError);
    this.#link = new Link(target, settings, {
      up: (maxFrameBytes) => this.#up(maxFrameBytes),
      down: (error) => this.#down(error),
      message: (message) => this.#message(message),
    });
    this.#requests = new Requests(settings, (frame) => this.#link.send(frame));
    this.leases = new RemoteLeases({
      ask: (request) => this.#requests.ask((id) => encodeClient({ ...request, id } as ClientMessage)),
      send: (request) => this.#link.send(encodeClient(request)),
      nextId: () => this.#requests.nextId(),
      refuse: () => this.#refuse(),
      onListenerError,
      requestMs: settings.requestMs,
    });
  }

  async publish(channel: string, data: Uint8Array, options: PublishOptions = {}): Promise<Published> {
    this.#refuse();
    checkPublish(channel, data, options);
    this.#refuseLarge(data.length);
    const { idempotencyKey, retention } = options;
    const key = idempotencyKey ?? this.#newKey();
    const answer = await this.#requests.ask((id) =>
      encodeClient({ type: "publish", id, channel, data, key, retention }),
    );
    if (answer.type !== "published") throw unexpected();
    const duplicate = idempotencyKey !== undefined && answer.duplicate;
    return { position: answer.position, seq: answer.seq, duplicate };
  }

  async publishAll(publications: readonly Publication[]): Promise<readonly PublishOutcome[]> {
    this.#refuse();
    checkBatch(publications);
    const outcomes: (PublishOutcome | undefined)[] = publications.map(checkPublication);
    const sent = publications.filter((_, at) => outcomes[at] === undefined);
    if (sent.length === 0) return outcomes.filter((outcome) => outcome !== undefined);
    const bytes = sent.reduce((sum, { data }) => sum + data.length, sent.length * PUBLICATION_OVERHEAD);
    if (bytes > this.#maxFrameBytes)
      throw new BrokerError("BATCH_INVALID", `The server takes frames of ${this.#maxFrameBytes} bytes.`);
    const keyed = sent.map((one) => ({ ...one, idempotencyKey: one.idempotencyKey ?? this.#newKey() }));
    const answer = await this.#requests.ask((id) =>
      encodeClient({ type: "publish-all", id, publications: keyed }),
    );
    if (answer.type !== "published-all" || answer.outcomes.length !== sent.length) throw unexpected();
    const answers = answer.outcomes[Symbol.iterator]();
    return publications.map(({ idempotencyKey }, at) => {
      const outcome = outcomes[at] ?? answers.next().value;
      if (!outcome) throw unexpected();
      // Where the caller gave no key, only this call's own first attempt can be what was met.
      return outcome.type === "published" && idempotencyKey === undefined
        ? { ...outcome, duplicate: false }
        : outcome;
    });
  }

  async notify(channel: string, data: Uint8Array): Promise<void> {
    this.#refuse();
    checkNotify(channel, data);
    this.#refuseLarge(data.length);
    await this.#requests.ask((id) => encodeClient({ type: "notify", id, channel, data }));
  }

  async subscribe(
    channel: string,
    listener: Listener,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#refuse();
    checkSubscribe(channel, options);
    let shared = this.#channels.get(channel);
    if (!shared) {
      shared = new RemoteChannel(channel, this);
      this.#channels.set(channel, shared);
    }
    return shared.join(listener, options);
  }

  async history(channel: string, query: HistoryQuery): Promise<History> {
    this.#refuse();
    checkHistory(channel, query);
    const { backwards = false, since, before } = query;
    const limit = Math.min(query.limit ?? PAGE_ENTRIES, PAGE_ENTRIES);
    const answer = await this.#requests.ask((id) =>
      encodeClient({ type: "history", id, channel, backwards, from: backwards ? before : since, limit }),
    );
    switch (answer.type) {
      case "page":
        return { type: "page", entries: answer.entries, head: answer.head, seq: answer.seq };
      case "unrecoverable":
        return { type: "unrecoverable", reason: answer.reason, head: answer.head, seq: answer.seq };
      default:
        throw unexpected();
    }
  }

  watch(listener: (status: BrokerStatus) => void): () => void {
    return this.#status.watch(listener);
  }

  /** Calls that have no answer yet reject with `BROKER_CLOSED`; what they asked for may have happened. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const error = new BrokerError("BROKER_CLOSED");
    this.#link.close();
    this.#status.end();
    for (const channel of this.#channels.values()) channel.end(error);
    this.#channels.clear();
    this.leases.end(error);
    this.#requests.failAll(error);
  }

  follow(channel: string): void {
    this.#ask(channel, "subscribe");
  }

  leave(channel: string): void {
    if (this.#channels.delete(channel)) this.#ask(channel, "unsubscribe");
  }

  read(channel: string, since: Position): Promise<History> {
    return this.#reads.run(() => this.history(channel, { since }));
  }

  #up(maxFrameBytes: number): void {
    this.#refusal = undefined;
    this.#maxFrameBytes = maxFrameBytes;
    this.#asked.clear();
    for (const channel of this.#channels.keys()) this.follow(channel);
    this.leases.up();
    this.#requests.sendAgain(maxFrameBytes);
  }

  #down(error: BrokerError): void {
    this.#refusal =
      error.code === "TOKEN_REFUSED" || error.code === "PROTOCOL_UNSUPPORTED" ? error : undefined;
    this.#asked.clear();
    for (const channel of [...this.#channels.values()]) {
      channel.away();
      if (this.#refusal) channel.rejectWaiters(this.#refusal);
    }
    if (this.#refusal) {
      this.leases.rejectWaiters(this.#refusal);
      this.#requests.failAll(this.#refusal);
    }
    this.#status.unavailable(error);
  }

  #message(message: ServerMessage): void {
    switch (message.type) {
      case "published":
      case "published-all":
      case "done":
      case "page":
      case "unrecoverable":
      case "renewed":
      case "lease-put":
      case "removed":
        this.#requests.answer(message);
        return;
      case "leases":
        if (!this.leases.take(message)) this.#requests.answer(message);
        return;
      case "change":
        this.leases.take(message);
        return;
      case "failed": {
        const error = new BrokerError(message.code, message.message);
        if (!this.leases.refused(message.id, error)) this.#requests.fail(message.id, error);
        return;
      }
      case "subscribed":
        for (const { channel, head } of message.heads) this.#channels.get(channel)?.subscribed(head);
        return;
      case "volatile":
        this.#channels.get(message.channel)?.notify(message.data);
        return;
      case "refused":
        this.#channels.get(message.channel)?.refused(new BrokerError(message.code, message.message));
        return;
      case "entry":
        this.#channels.get(message.channel)?.entry(message.entry);
        return;
      case "reset":
        this.#channels.get(message.channel)?.reset(message.head, message.reason);
        return;
      case "status":
        if (message.error === "") this.#status.available();
        else this.#status.unavailable(new BrokerError("BROKER_UNAVAILABLE", message.error));
    }
  }

  #ask(channel: string, word: "subscribe" | "unsubscribe"): void {
    if (!this.#link.isUp) return;
    if (this.#asked.size === 0) process.nextTick(() => this.#sendAsked());
    this.#asked.set(channel, word);
  }

  #sendAsked(): void {
    for (const type of ["unsubscribe", "subscribe"] as const) {
      const channels = [...this.#asked].filter(([, word]) => word === type).map(([channel]) => channel);
      for (let from = 0; from < channels.length; from += CHANNELS_PER_FRAME)
        this.#link.send(encodeClient({ type, channels: channels.slice(from, from + CHANNELS_PER_FRAME) }));
    }
    this.#asked.clear();
  }

  #newKey(): string {
    return `${this.#keyPrefix}.${++this.#keys}`;
  }

  #refuseLarge(bytes: number): void {
    if (bytes + PUBLICATION_OVERHEAD > this.#maxFrameBytes)
      throw new BrokerError("ENTRY_TOO_LARGE", `The server takes frames of ${this.#maxFrameBytes} bytes.`);
  }

  #refuse(): void {
    if (this.#closed) throw new BrokerError("BROKER_CLOSED");
    if (this.#refusal) throw this.#refusal;
  }
}

/** What becomes of a publication that need not be sent. */
function checkPublication({ channel, data, ...options }: Publication): PublishOutcome | undefined {
  try {
    checkPublish(channel, data, options);
    return undefined;
  } catch (error) {
    if (error instanceof BrokerError) return { type: "refused", error };
    throw error;
  }
}

/** The message never holds the URL: its token is a secret. */
function readTarget(url: string): LinkTarget {
  const [, token, path, host, digits] = URL_FORM.exec(url) ?? [];
  if (token && path) return { path, token };
  const port = Number(digits);
  if (!token || !host || port < 1 || port > 65_535) throw new BrokerError("BROKER_URL_INVALID");
  return { host: host.replace(/^\[|\]$/g, ""), port, token };
}

function unexpected(): BrokerError {
  return new BrokerError("BROKER_UNAVAILABLE", "The server gave an answer to another question.");
}
