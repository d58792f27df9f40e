import type { Socket } from "socket.io";
import type { Session } from "./session.ts";

/** Emits to a socket, after each event of its client, that may be the last that a listener does. */
const LOOKS = 8;

/** A session's `socket.data` as JSON; undefined where JSON can't hold it. */
export function dataOf({ socket, data }: Session): string | undefined {
  try {
    return JSON.stringify(socket ? socket.data : data) ?? "null";
  } catch {
    return undefined;
  }
}

/** Whether it is another than the record says. */
export function isDataChanged(session: Session): boolean {
  return dataOf(session) !== session.savedData;
}

/** What the client did may have changed `socket.data`: looked at once its listeners have run. */
export function watchData(session: Session, socket: Socket, onChange: () => void): void {
  let isDue = false;
  socket.onAny(() => {
    session.looks = LOOKS;
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      if (!session.isOver && isDataChanged(session)) onChange();
    });
  });
}

/** Whether something that is said to a socket's client may be the last that a listener does, which changed `socket.data`. */
export function mayHaveChanged(session: Session, isAnswer: boolean): boolean {
  if (!session.socket || session.isOver) return false;
  if (!isAnswer && session.looks === 0) return false;
  if (!isAnswer) session.looks--;
  return isDataChanged(session);
}
