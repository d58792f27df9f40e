import type { Socket } from "socket.io";
import type { Session } from "./session.ts";

/** What is in no log waits no longer than this for what is, or for the record. */
const MOST_BEHIND_MS = 2_000;

/** The sockets of one namespace whose packets wait, while a record is not stored as its rooms are. */
export class HeldSockets {
  readonly #sessionOf: (sid: string) => Session | undefined;
  readonly #onFull: (session: Session) => void;
  /** For how many packets have to wait. */
  #holding = 0;

  /** @param onFull told of a session for which more waits than is kept */
  constructor(sessionOf: (sid: string) => Session | undefined, onFull: (session: Session) => void) {
    this.#sessionOf = sessionOf;
    this.#onFull = onFull;
  }

  watch({ outbox }: Session): void {
    outbox.onChange = (isHolding) => {
      this.#holding += isHolding ? 1 : -1;
    };
  }

  /** Those of the sockets that can be written to now; for the others it is written later. */
  writable(sockets: readonly Socket[], bytes: number, write: (socket: Socket) => void): readonly Socket[] {
    if (this.#holding === 0) return sockets;
    return sockets.filter((socket) => {
      const session = this.#sessionOf(socket.id);
      if (!session?.outbox.isHolding || session.socket !== socket) return true;
      session.outbox.put(bytes, () => write(socket));
      if (session.outbox.isFull) this.#onFull(session);
      return false;
    });
  }

  /** Whether something waits for a socket. */
  isWaiting({ id }: Socket): boolean {
    return this.#holding > 0 && this.#sessionOf(id)?.outbox.isWaiting === true;
  }

  /**
   * Whether what is in no log has to wait, too: behind what does, or until the record tells of the rooms that the client may be
   * told of.
   */
  isHeld({ id }: Socket): boolean {
    const outbox = this.#holding > 0 ? this.#sessionOf(id)?.outbox : undefined;
    return outbox !== undefined && (outbox.isWaiting || outbox.heldForMs < MOST_BEHIND_MS);
  }

  /** Writes a packet that is in no log, once nothing waits for the socket: after a while, if something goes on waiting. */
  behind(socket: Socket, bytes: number, write: () => void): void {
    const session = this.#sessionOf(socket.id);
    if (!session || session.socket !== socket || !this.isHeld(socket)) {
      write();
      return;
    }
    let isWritten = false;
    const once = () => {
      if (!isWritten) write();
      isWritten = true;
    };
    const timer = setTimeout(once, MOST_BEHIND_MS).unref();
    session.outbox.put(bytes, () => {
      clearTimeout(timer);
      once();
    });
    if (session.outbox.isFull) this.#onFull(session);
  }
}
