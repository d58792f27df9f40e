import type { Position } from "@holdfast/broker";
import type { Hub } from "@holdfast/hub";
import type { FollowedRooms } from "./followed-rooms.ts";

/** No request waits longer than this for rooms' entries. */
const MOST_MS = 2_000;
/** Rooms whose entries one request waits for. */
const MAX_CHANNELS = 100;

/**
 * Requests of other nodes on a broker whose channels have no order in common. There a request can come before what its
 * asker had emitted to a room, although that was accepted first. So the rooms' logs are asked how far they are, and the
 * request is done when they have come as far here; what was asked later waits for it.
 */
export class RequestTurns {
  readonly #hub: Hub;
  readonly #rooms: FollowedRooms;
  #last: Promise<unknown> | undefined;

  constructor(hub: Hub, rooms: FollowedRooms) {
    this.#hub = hub;
    this.#rooms = rooms;
  }

  /**
   * Does something when its turn has come: at once where it can.
   *
   * @param channels of the rooms whose entries come first
   * @param work must not throw
   */
  take(channels: readonly string[], work: () => void): void {
    if (this.#hub.broker.abilities.oneSequence === true || (channels.length === 0 && !this.#last)) {
      work();
      return;
    }
    const heads = channels.slice(0, MAX_CHANNELS).map((channel) => this.#headOf(channel));
    const before = this.#last;
    const turn = this.#await(before, heads).then(work);
    this.#last = turn;
    void turn.finally(() => {
      if (this.#last === turn) this.#last = undefined;
    });
  }

  async #await(before: Promise<unknown> | undefined, heads: readonly Promise<Head>[]): Promise<void> {
    await before;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, MOST_MS);
    const reached = heads.map(async (head) => this.#reached(await head));
    await Promise.race([Promise.all(reached), late.promise]);
    clearTimeout(timer);
  }

  /** Who joins a room that is not followed yet is not given what is in its log up to here. */
  #reached({ channel, position }: Head): Promise<void> | void {
    if (!position) return;
    if (this.#rooms.get(channel)) return this.#rooms.reached(channel, position.offset);
    this.#rooms.expect({ channel, position, seq: 0 });
  }

  async #headOf(channel: string): Promise<Head> {
    try {
      return { channel, position: (await this.#hub.read(channel, { limit: 0 })).head };
    } catch {
      // The broker is away, and tells of it itself.
      return { channel };
    }
  }
}

interface Head {
  readonly channel: string;
  readonly position?: Position;
}
