import { Fence, randomText } from "@holdfast/broker/engine";
import type { Connection, Ready } from "./connection.ts";
import type { Log } from "./log.ts";
import type { Subjects } from "./subjects.ts";

/**
 * Says when everything that the one stream stored before a moment was told of here: the server tells of what it stores in
 * the stream's order, and answers questions beside that, so what is read can be newer than what has been told of. A token that
 * is stored, on a subject of this process's own, is told of after all that. It is taken out again.
 */
export class StreamFence {
  readonly #subjects: Subjects;
  readonly #tryMs: number;
  readonly #channel = `holdfast:fence:${randomText(16)}`;
  readonly #fence: Fence;

  constructor(connection: Connection, subjects: Subjects, log: Log, tryMs: number) {
    this.#subjects = subjects;
    this.#tryMs = tryMs;
    this.#fence = new Fence(async (token) => {
      const deadline = performance.now() + tryMs;
      const subject = subjects.log(this.#channel);
      const { seq } = await connection.once(deadline, ({ stream }) => stream.publish(subject, token));
      void log.purge(this.#channel, seq + 1, deadline).catch(() => undefined);
    });
  }

  /** There is a connection, which is a new one. */
  up({ nats }: Ready): void {
    nats.subscribe(this.#subjects.following(this.#channel), {
      callback: (error, message) => {
        if (!error) this.#fence.heard(message.string());
      },
    });
  }

  /** What was on its way does not come any more. */
  down(): void {
    this.#fence.lost();
  }

  /** Rejects where that can't be known, since the connection was lost or no token came in time. */
  async passed(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("The token did not come.")), this.#tryMs);
    try {
      await Promise.race([this.#fence.passed(), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}
