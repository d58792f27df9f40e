import type { Hub } from "@holdfast/hub";
import { LOCAL_ROOM_PREFIX, type Room } from "../cluster/room-channel.ts";
import type { Session } from "./session.ts";
import type { HostRoom, SessionHost } from "./session-host.ts";
import { markOf } from "./session-record.ts";

/** Takes down in sessions which rooms their sockets have joined, and after which entry of each. */
export class Joins {
  readonly #host: SessionHost;
  readonly #hub: Hub;
  readonly #onLater: (session: Session) => void;
  /** Sockets that wait for a channel to be followed. */
  readonly #unready = new Map<string, Set<Session>>();

  /** @param onLater told of a session that has a room more, since that is followed now */
  constructor(host: SessionHost, hub: Hub, onLater: (session: Session) => void) {
    this.#host = host;
    this.#hub = hub;
    this.#onLater = onLater;
  }

  join(session: Session, rooms: Iterable<Room | null>): void {
    for (const room of rooms) {
      if (session.rooms.has(room) || isLocal(room)) continue;
      const channel = this.#host.channelOf(room);
      const followed = this.#host.followed(channel);
      if (!followed) continue;
      if (followed.ready) this.#joinLater(session, room, channel, followed, followed.ready);
      else {
        session.outbox.hold();
        const { epoch } = followed.last;
        session.joined({ room, epoch, join: markOf(followed.last, this.#hub.seq) });
      }
    }
  }

  /** An entry of a channel has come; before it is handed to anybody. */
  arrived(channel: string): void {
    for (const session of this.#unready.get(channel) ?? []) session.outbox.hold();
  }

  left(session: Session, channel: string): void {
    this.#unready.get(channel)?.delete(session);
  }

  /** Nothing comes from a room that is not followed yet, so only what comes from it has to wait for the record. */
  #joinLater(
    session: Session,
    room: Room | null,
    channel: string,
    followed: HostRoom,
    ready: Promise<void>,
  ): void {
    const waiting = this.#unready.get(channel) ?? new Set();
    this.#unready.set(channel, waiting.add(session));
    void ready.then(() => {
      const isWaiting = waiting.delete(session);
      if (waiting.size === 0 && this.#unready.get(channel) === waiting) this.#unready.delete(channel);
      if (!isWaiting || session.isOver || !followed.began) return;
      session.outbox.hold();
      const { began } = followed;
      session.joined({ room, epoch: began.epoch, join: markOf(began, this.#hub.seq) });
      this.#onLater(session);
    });
  }
}

function isLocal(room: Room | null): boolean {
  return typeof room === "string" && room.startsWith(LOCAL_ROOM_PREFIX);
}
