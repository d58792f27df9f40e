import type { Namespace, Socket } from "socket.io";
import { acksOf, nextAckId } from "../stock.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { FollowedRooms } from "./followed-rooms.ts";
import type { AckRequest, OutgoingPacket } from "./packet-entry.ts";

/** An emit of this node whose answers it collects. */
interface Collected {
  readonly packet: OutgoingPacket;
  readonly onResponse: (response: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/** What became on this node of an emit that wants answers. */
interface Tally {
  count: number;
  /** The acknowledgement's id on this node. */
  readonly id: number;
  readonly sockets: Socket[];
  readonly timer: NodeJS.Timeout;
}

/** Emits and tallies that are kept at a time; past it the oldest is given up, and times out. */
const MAX_KEPT = 10_000;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Acknowledgements of emits to rooms. The packet goes through the rooms' logs, in order with everything else. Then
 * every node is asked how many sockets it gave it to: by then it knows the place of the packet in each log, and answers
 * once it has come that far. A node that follows none of the logs answers at once.
 */
export class Acks {
  readonly #control: ControlPlane;
  readonly #rooms: FollowedRooms;
  readonly #uid: string;
  readonly #collected = new Map<string, Collected>();
  readonly #tallies = new Map<string, Tally>();

  constructor(control: ControlPlane, rooms: FollowedRooms, uid: string) {
    this.#control = control;
    this.#rooms = rooms;
    this.#uid = uid;
  }

  /** Begins to collect what clients answer to a packet. */
  collect(
    packet: OutgoingPacket,
    timeoutMs: number | undefined,
    onResponse: (response: unknown) => void,
  ): AckRequest {
    const request = `a${this.#control.nextRequest()}`;
    const bounded = Math.min(Math.max(1, Math.trunc(timeoutMs ?? 0) || 0), MAX_TIMEOUT_MS);
    const timer = setTimeout(() => this.#collected.delete(request), bounded).unref();
    this.#collected.set(request, { packet, onResponse, timer });
    evict(this.#collected, (request) => this.end(request));
    return { request, node: this.#uid, timeoutMs: bounded };
  }

  /** No answer is wanted any more. */
  end(request: string): void {
    clearTimeout(this.#collected.get(request)?.timer);
    this.#collected.delete(request);
  }

  /** A client of some node has answered. */
  responded(request: string, response: unknown): void {
    this.#collected.get(request)?.onResponse(response);
  }

  /** Notes that sockets of this node are given a packet, and awaits their answers. @returns the acknowledgement's id */
  register(
    namespace: Namespace,
    { request, node, timeoutMs }: AckRequest,
    sockets: readonly Socket[],
  ): number {
    const tally =
      this.#tallies.get(nameOf(node, request)) ?? this.#begin(namespace, node, request, timeoutMs);
    tally.count += sockets.length;
    for (const socket of sockets) {
      tally.sockets.push(socket);
      acksOf(socket).set(tally.id, (response) => {
        if (node === this.#uid) this.responded(request, response);
        else this.#control.acknowledge(node, request, response);
      });
    }
    return tally.id;
  }

  /** How many sockets of this node were given the packet, once its copies have come here from all the logs. */
  async count(
    node: string,
    request: string,
    copies: readonly { readonly channel: string; readonly offset: number }[],
  ): Promise<number> {
    await Promise.all(copies.map(({ channel, offset }) => this.#rooms.reached(channel, offset)));
    return this.#tallies.get(nameOf(node, request))?.count ?? 0;
  }

  close(): void {
    for (const { timer } of [...this.#collected.values(), ...this.#tallies.values()]) clearTimeout(timer);
    this.#collected.clear();
    this.#tallies.clear();
  }

  #begin(namespace: Namespace, node: string, request: string, timeoutMs: number): Tally {
    const name = nameOf(node, request);
    const id = nextAckId(namespace);
    // Socket.IO takes the acknowledgements back by this id when the time is over.
    const own = node === this.#uid ? this.#collected.get(request) : undefined;
    if (own) (own.packet as { id?: number }).id = id;
    const timer = setTimeout(() => this.#forget(name), Math.min(timeoutMs, MAX_TIMEOUT_MS)).unref();
    const tally: Tally = { count: 0, id, sockets: [], timer };
    this.#tallies.set(name, tally);
    evict(this.#tallies, (oldest) => this.#forget(oldest));
    return tally;
  }

  #forget(name: string): void {
    const tally = this.#tallies.get(name);
    this.#tallies.delete(name);
    clearTimeout(tally?.timer);
    for (const socket of tally?.sockets ?? []) acksOf(socket).delete(tally?.id ?? -1);
  }
}

function nameOf(node: string, request: string): string {
  return `${node} ${request}`;
}

function evict(map: ReadonlyMap<string, unknown>, forget: (oldest: string) => void): void {
  const [oldest] = map.keys();
  if (map.size > MAX_KEPT && oldest !== undefined) forget(oldest);
}
