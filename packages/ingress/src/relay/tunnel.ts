import type { UpgradeClosedEvent } from "../events.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { Clock, Timed } from "./clock.ts";
import type { Exchange } from "./exchange.ts";
import type { Peer, PeerHandler } from "./peer.ts";
import type { RelayContext } from "./relay-context.ts";

/** What is up to this long is written as text: making a string costs less than making a view of the buffer. */
const TEXT_BYTES = 2 * 1024;

/**
 * An upgraded connection: raw bytes both ways, half-closed connections included.
 *
 * Face `gce`: the backend service's timeout is the longest life of the connection, idle or not, and ends it without
 * a closing frame. `gce-envoy`: the same timeout, of idleness. `holdfast`: idleness, by an option of the ingress.
 */
export class Tunnel implements Timed {
  deadline: number;
  /** When bytes have last come from either side, by the clock's ticks. */
  heardAt: number;
  readonly clock: Clock;
  readonly #client: Side;
  readonly #pod: Side;
  readonly #idleMs: number | undefined;
  readonly #exchange: Exchange;
  readonly #over: () => void;
  #reported = false;

  /** @param over called once, when both connections are gone */
  constructor(
    client: ClientConnection,
    pod: Peer,
    exchange: Exchange,
    context: RelayContext,
    over: () => void,
  ) {
    const { face } = exchange.backend;
    this.clock = context.clock;
    this.heardAt = this.clock.now;
    this.#exchange = exchange;
    this.#over = over;
    this.#client = new Side(this, client.peer, pod, () => {
      this.#closed(this.#client, "client");
      client.closed();
    });
    this.#pod = new Side(this, pod, client.peer, () => this.#closed(this.#pod, "pod"));
    if (face === "gce") this.deadline = exchange.startedAt + exchange.timeoutMs;
    else {
      this.#idleMs = face === "gce-envoy" ? exchange.timeoutMs : context.options.upgradeIdleTimeoutMs;
      this.deadline = performance.now() + this.#idleMs;
    }
  }

  /**
   * Takes over both connections.
   *
   * @param fromPod what the pod has sent after its head already
   * @param fromClient what the client has
   */
  begin(fromPod: Buffer, fromClient: Buffer | undefined): void {
    this.clock.add(this);
    this.#client.own.handler = this.#client;
    this.#pod.own.handler = this.#pod;
    if (fromPod.length > 0) this.#pod.received(fromPod, fromPod.length);
    if (fromClient !== undefined) this.#client.received(fromClient, fromClient.length);
  }

  overdue(): void {
    if (this.#idleMs !== undefined) {
      this.deadline = this.heardAt + this.#idleMs;
      if (this.deadline > this.clock.now) return;
    }
    this.cut("timeout");
  }

  /** Ends both connections, without a closing frame. */
  cut(cause: UpgradeClosedEvent["cause"]): void {
    this.#report(cause);
    this.#client.own.destroy();
    this.#pod.own.destroy();
  }

  #closed(side: Side, cause: "client" | "pod"): void {
    const other = side === this.#client ? this.#pod : this.#client;
    this.#report(cause);
    if (other.gone) {
      this.clock.remove(this);
      this.#over();
    } else if (!side.hasEnded || !other.hasEnded) {
      // After an orderly end on both sides nothing is left to do; in any other case the rest can't be delivered.
      other.own.destroy();
    }
  }

  #report(cause: UpgradeClosedEvent["cause"]): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#exchange.reportUpgradeClosed(cause, this.#client.bytes, this.#pod.bytes);
  }
}

/** One of the two connections: what comes from it goes to the other. */
class Side implements PeerHandler {
  readonly own: Peer;
  /** Bytes that came from it. */
  bytes = 0;
  /** It sends nothing more. */
  hasEnded = false;
  gone = false;
  readonly #other: Peer;
  readonly #tunnel: Tunnel;
  readonly #onClosed: () => void;

  constructor(tunnel: Tunnel, own: Peer, other: Peer, onClosed: () => void) {
    this.#tunnel = tunnel;
    this.own = own;
    this.#other = other;
    this.#onClosed = onClosed;
  }

  received(buffer: Buffer, length: number): void {
    const tunnel = this.#tunnel;
    tunnel.heardAt = tunnel.clock.now;
    this.bytes += length;
    const taken =
      length <= TEXT_BYTES
        ? this.#other.writeText(buffer.toString("latin1", 0, length))
        : this.#other.write(length === buffer.length ? buffer : buffer.subarray(0, length));
    if (!taken) this.own.pause();
  }

  drained(): void {
    this.#other.resume();
  }

  ended(): void {
    this.hasEnded = true;
    this.#other.end();
  }

  closed(): void {
    this.gone = true;
    this.#onClosed();
  }
}
