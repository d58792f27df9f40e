import type { Session } from "./session.ts";
import { dataOf } from "./session-data.ts";
import type { SessionHost } from "./session-host.ts";
import { encodeSessionRecord } from "./session-record.ts";
import type { SessionWrite } from "./session-store.ts";
import type { SessionsContext } from "./sessions.ts";

/** Writes the records of a namespace's sessions, and hands out what has waited for one to be stored. */
export class SessionWriter {
  readonly #host: SessionHost;
  readonly #context: SessionsContext;
  readonly #onRefused: (session: Session) => void;

  /** @param onRefused told of a session that is another node's, or over */
  constructor(host: SessionHost, context: SessionsContext, onRefused: (session: Session) => void) {
    this.#host = host;
    this.#context = context;
    this.#onRefused = onRefused;
  }

  /** Resolves once the record says what the socket is in; undefined where that is so. */
  saved(session: Session | undefined): Promise<void> | undefined {
    return session?.socket && session.changes !== session.written ? this.save(session) : undefined;
  }

  async save(session: Session): Promise<void> {
    if (session.isBroken) return;
    let changes = 0;
    const write = await this.#context.store.write(session.pid, () => {
      changes = session.changes;
      return this.#encode(session);
    });
    if (session.isOver || session.isBroken) return;
    session.written = Math.max(session.written, changes);
    if (write === "refused") {
      this.#onRefused(session);
      return;
    }
    if (write !== "stored") this.#unrecoverable(session, write);
    // What changed meanwhile has a write of its own to wait for.
    this.release(session);
  }

  /** Hands out what waits for the socket, if the record is stored as its rooms are. */
  release(session: Session): void {
    const isStored = () => !session.isOver && session.written === session.changes;
    if (session.socket && isStored()) session.outbox.release(session.socket, isStored);
  }

  #encode(session: Session): Uint8Array | undefined {
    const data = session.finalData ?? dataOf(session);
    session.savedData = data;
    if (data === undefined) return undefined;
    return encodeSessionRecord(session.record(this.#host.namespace), data);
  }

  #unrecoverable(session: Session, reason: Exclude<SessionWrite, "stored" | "refused">): void {
    this.#context.counters.sessionsUnrecoverable++;
    const { namespace } = this.#host;
    this.#context.onEvent({ type: "session-unrecoverable", namespace, socket: session.sid, reason });
  }
}
