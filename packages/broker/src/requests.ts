import { BrokerError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { Lease } from "./lease-table.ts";
import type { ServerMessage } from "./server-messages.ts";

export type Answer = Extract<
  ServerMessage,
  {
    readonly type:
      | "published"
      | "published-all"
      | "done"
      | "page"
      | "unrecoverable"
      | "renewed"
      | "lease-put"
      | "removed"
      | "leases";
  }
>;

export interface RequestBounds {
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  /** From the call to its end, however often the connection is made again in between. */
  readonly requestMs: number;
}

interface Pending {
  readonly frame: Frame;
  readonly deadline: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: BrokerError) => void;
  /** What came before the last frame of an answer in several. */
  parts: Lease[];
}

const CHECK_MS = 50;

/** Requests without an answer yet. They outlive a connection: each may be sent again until its time is over. */
export class Requests {
  readonly #bounds: RequestBounds;
  readonly #send: (frame: Frame) => void;
  /** In the order of their calls, so of their deadlines. */
  readonly #pending = new Map<number, Pending>();
  #bytes = 0;
  #lastId = 0;
  #checking: NodeJS.Timeout | undefined;

  /** @param send sends a frame now, or drops it while there is no connection. */
  constructor(bounds: RequestBounds, send: (frame: Frame) => void) {
    this.#bounds = bounds;
    this.#send = send;
  }

  /** @throws BrokerError `BROKER_UNAVAILABLE` at once when too much is pending, or when no answer came in time. */
  ask(frameOf: (id: number) => Frame): Promise<Answer> {
    const { maxPending, maxPendingBytes, requestMs } = this.#bounds;
    if (this.#pending.size >= maxPending || this.#bytes >= maxPendingBytes)
      return Promise.reject(new BrokerError("BROKER_UNAVAILABLE", "Too many requests wait for an answer."));
    const id = this.nextId();
    const frame = frameOf(id);
    this.#bytes += frame.length;
    this.#checking ??= setInterval(() => this.#expire(), Math.min(CHECK_MS, requestMs));
    this.#send(frame);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { frame, deadline: performance.now() + requestMs, resolve, reject, parts: [] });
    });
  }

  /** Sends all of them on a new connection, which knows of none; but for those that its server would not take. */
  sendAgain(maxFrameBytes: number): void {
    for (const [id, pending] of this.#pending) {
      const { frame } = pending;
      pending.parts = [];
      if (frame.length <= maxFrameBytes) this.#send(frame);
      else
        this.fail(
          id,
          new BrokerError("ENTRY_TOO_LARGE", `The server takes frames of ${maxFrameBytes} bytes.`),
        );
    }
  }

  /** An id that no other request has. */
  nextId(): number {
    return ++this.#lastId;
  }

  answer(answer: Answer): void {
    if (answer.type !== "leases") {
      this.#take(answer.id)?.resolve(answer);
      return;
    }
    const pending = this.#pending.get(answer.id);
    pending?.parts.push(...answer.leases);
    if (pending && !answer.more) this.#take(answer.id)?.resolve({ ...answer, leases: pending.parts });
  }

  fail(id: number, error: BrokerError): void {
    this.#take(id)?.reject(error);
  }

  failAll(error: BrokerError): void {
    for (const id of [...this.#pending.keys()]) this.fail(id, error);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return undefined;
    this.#pending.delete(id);
    this.#bytes -= pending.frame.length;
    if (this.#pending.size === 0) {
      clearInterval(this.#checking);
      this.#checking = undefined;
    }
    return pending;
  }

  #expire(): void {
    const now = performance.now();
    for (const [id, { deadline }] of this.#pending) {
      if (deadline > now) return;
      this.fail(
        id,
        new BrokerError("BROKER_UNAVAILABLE", "No answer came in time; it may have been accepted."),
      );
    }
  }
}
