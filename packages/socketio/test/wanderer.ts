import type { Broker } from "@holdfast/broker";
import { type Socket as ClientSocket, Manager } from "socket.io-client";
import { parsePlace } from "../src/recovery/place.ts";
import type { TestNode } from "./cluster.ts";

const ANSWER_MS = 10_000;

/** A stock client that goes from node to node, with what it keeps of its session and every packet that it was given. */
export class Wanderer {
  /** Every event that came, without what the binding put behind its arguments. */
  readonly packets: unknown[][] = [];
  /** Those that came on a connection that it had left behind. */
  readonly strays: unknown[][] = [];
  readonly #namespace: string;
  readonly #transports: string[];
  readonly #managers: Manager[] = [];
  #socket: ClientSocket | undefined;
  #pretence: { _pid: string; _lastOffset: string | undefined } | undefined;

  /** @param options `transport`: also `upgrade`, which is how clients begin unless they are told otherwise */
  constructor({ namespace = "/", transport = "websocket" }: { namespace?: string; transport?: string } = {}) {
    this.#namespace = namespace;
    this.#transports = transport === "upgrade" ? ["polling", "websocket"] : [transport];
  }

  get socket(): ClientSocket {
    if (!this.#socket) throw new Error("it has not connected yet");
    return this.#socket;
  }

  get id(): string {
    return this.socket.id ?? "";
  }

  get recovered(): boolean {
    return this.socket.recovered;
  }

  get pid(): string {
    return (this.socket as unknown as { _pid: string })._pid;
  }

  get place(): string | undefined {
    return (this.socket as unknown as { _lastOffset?: string })._lastOffset;
  }

  set place(place: string | undefined) {
    (this.socket as unknown as { _lastOffset: string | undefined })._lastOffset = place;
  }

  /** The first arguments of the events `n`. */
  get numbers(): unknown[] {
    return this.packets.filter(([event]) => event === "n").map(([, n]) => n);
  }

  /** What it will say of itself when it connects for the first time. */
  pretend(pid: string, place: string | undefined): void {
    this.#pretence = { _pid: pid, _lastOffset: place };
  }

  /** How often something came that was published before what had come already, in whichever rooms. */
  get disorder(): number {
    const sequence = this.packets.flatMap((packet) => {
      const place = parsePlace(packet.at(-1));
      return place?.type === "entry" ? [place.seq] : [];
    });
    return sequence.filter((seq, at) => at > 0 && seq <= (sequence[at - 1] ?? 0)).length;
  }

  /** Connects, to another node too: the same socket object, with a new engine. */
  async connect(node: Pick<TestNode, "url">): Promise<void> {
    const old = this.#socket as unknown as
      | { _pid?: string; _lastOffset?: string; receiveBuffer: unknown[] }
      | undefined;
    const left = this.#socket;
    left?.offAny().onAny((...packet) => this.strays.push(packet));
    const manager = new Manager(node.url, {
      transports: this.#transports,
      reconnection: false,
      autoConnect: false,
    });
    const socket = manager.socket(this.#namespace);
    if (old) {
      const { _pid, _lastOffset, receiveBuffer } = old;
      Object.assign(socket, { _pid, _lastOffset, receiveBuffer });
    }
    Object.assign(socket, this.#pretence);
    this.#socket = socket;
    this.#managers.push(manager);
    socket.onAny((...packet) => this.packets.push(packet));
    const connected = new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
      socket.once("disconnect", (reason) => reject(new Error(reason)));
      setTimeout(() => reject(new Error("it was not answered")), ANSWER_MS).unref();
    });
    socket.connect();
    await connected.finally(() => socket.off("connect").off("connect_error").off("disconnect"));
  }

  /**
   * The connection ends without a word of Socket.IO's, and at once, as a network's does. The client's own `close` would wait for an upgrade that
   * is under way; what comes in the turn in which that ends the client keeps for its next connection, without taking its place from it.
   */
  cut(): void {
    (this.socket.io.engine as unknown as { _onClose(reason: string): void })._onClose("forced close");
  }

  /** Ends all that is left of its connections. */
  close(): void {
    for (const manager of this.#managers) manager.engine?.close();
  }

  /** The text of its session's record. */
  async record(broker: Broker): Promise<string | undefined> {
    const [lease] = await broker.leases.list(`holdfast:session:${this.pid}`);
    return lease && new TextDecoder().decode(lease.value);
  }
}
