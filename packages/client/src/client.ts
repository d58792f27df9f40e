import { io, type Socket } from "socket.io-client";
import { Channel } from "./channel.ts";
import { Emitter } from "./emitter.ts";
import { ClientError } from "./errors.ts";
import type { Link } from "./link.ts";
import { type ClientOptions, type ClientSettings, readClientOptions } from "./options.ts";
import { type Published, type PublishOptions, publish } from "./publish.ts";
import {
  type ClientToServer,
  PROTOCOL_VERSION,
  type ServerToClient,
  type SubscribeAnswer,
  type Welcome,
} from "./wire.ts";

export interface ClientEvents {
  /** Connected to a node, which says its name. */
  welcome: Welcome;
  connect: undefined;
  /** Socket.IO's reason. It connects again by itself unless the reason is `io server disconnect` or a close of ours. */
  disconnect: { readonly reason: string };
  /** A connection could not be made; Socket.IO tries again unless the server refused it. */
  "connect-error": { readonly error: Error };
  /** What no channel's own "error" listener took. Without a listener here it goes to the console. */
  error: { readonly error: ClientError; readonly channel?: string };
}

/**
 * Connects to a socket server, through whatever stands before it.
 *
 * @param url its address, as socket.io-client takes it; a path is the namespace
 * @throws ClientError `OPTION_INVALID`
 */
export function connect(url: string, options: ClientOptions = {}): HoldfastClient {
  return new HoldfastClient(url, readClientOptions(options));
}

export class HoldfastClient {
  /** The Socket.IO socket underneath, for the application's own events. */
  readonly socket: Socket<ServerToClient, ClientToServer>;
  readonly #settings: ClientSettings;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #channels = new Map<string, Channel>();
  readonly #link: Link;
  #node: string | undefined;
  #closed = false;

  constructor(url: string, settings: ClientSettings) {
    this.#settings = settings;
    this.#emitter = new Emitter((cause) => console.error(new ClientError("LISTENER_FAILED", { cause })));
    this.socket = io(url, { ...settings.socket });
    const { socket } = this;
    const report = (error: ClientError, channel: string) => this.#report(error, channel);
    this.#link = {
      get connected() {
        return socket.connected;
      },
      subscribe(request, onAnswer) {
        socket
          .timeout(settings.subscribeTimeoutMs)
          .emit("holdfast:subscribe", request, (error: Error | null, answer: SubscribeAnswer) => {
            onAnswer(error ? undefined : answer);
          });
      },
      unsubscribe(channel) {
        socket.emit("holdfast:unsubscribe", { channel }, () => {});
      },
      report,
    };
    this.#listen();
  }

  /** The node that this client is connected to, or was last. */
  get node(): string | undefined {
    return this.#node;
  }

  get connected(): boolean {
    return this.socket.connected;
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /** The channel of that name; always the same object. */
  channel(name: string): Channel {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = new Channel(name, this.#link, this.#settings.maxHeldMessages);
      this.#channels.set(name, channel);
    }
    return channel;
  }

  /**
   * Appends to a channel's log, through the publish API. Once resolved, every subscriber will be given it.
   *
   * @throws ClientError `API_MISSING`, `PUBLISH_REFUSED`, `PUBLISH_TIMEOUT`, `ANSWER_INVALID`
   */
  publish(channel: string, event: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    return publish(this.#settings, channel, event, data, options);
  }

  /** Disconnects; no event follows. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const channel of this.#channels.values()) channel.close();
    this.socket.disconnect();
  }

  #listen(): void {
    const { socket } = this;
    socket.on("connect", () => {
      this.#emitter.emit("connect", undefined);
      for (const channel of this.#channels.values()) channel.connected();
    });
    socket.on("disconnect", (reason) => {
      for (const channel of this.#channels.values()) channel.disconnected();
      if (!this.#closed) this.#emitter.emit("disconnect", { reason });
    });
    socket.on("connect_error", (error) => {
      if (!this.#closed) this.#emitter.emit("connect-error", { error });
    });
    socket.on("holdfast:welcome", (welcome) => {
      if (welcome?.protocol !== PROTOCOL_VERSION) {
        this.#report(new ClientError("PROTOCOL_UNSUPPORTED", { detail: `version ${welcome?.protocol}` }));
        return;
      }
      this.#node = String(welcome.node);
      this.#emitter.emit("welcome", { node: this.#node, protocol: welcome.protocol });
    });
    socket.on("holdfast:entry", (channel, offset, tag, event, data) => {
      this.#channels.get(channel)?.entry(offset, tag, event, data);
    });
    socket.on("holdfast:volatile", (channel, event, data) => {
      this.#channels.get(channel)?.volatile(event, data);
    });
    socket.on("holdfast:reset", (channel, reset) => this.#channels.get(channel)?.reset(reset));
    socket.on("holdfast:ended", (channel, error) => this.#channels.get(channel)?.ended(error));
  }

  #report(error: ClientError, channel?: string): void {
    const isHeard = this.#emitter.emit("error", channel === undefined ? { error } : { error, channel });
    if (!isHeard) console.error(error);
  }
}
