import { IngressError } from "../errors.ts";

/** One end of the IPC channel between two processes: `process`, or a `ChildProcess`. */
interface ProcessEnd {
  readonly connected: boolean;
  send?(message: object, handle: undefined, options: undefined, done: (error: Error | null) => void): boolean;
  on(event: "message", listener: (message: unknown) => void): unknown;
  on(event: "disconnect", listener: () => void): unknown;
}

/** What goes over the channel. */
type Envelope<Body> =
  | { readonly kind: "tell"; readonly body: Body }
  | { readonly kind: "ask"; readonly id: number; readonly body: Body }
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "refusal"; readonly id: number; readonly code: string; readonly message: string };

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Questions that may be under way at a time. */
const MAX_PENDING = 10_000;

/**
 * Messages and questions between the primary process and one worker. What is sent arrives in that order.
 *
 * Both processes are the same program and one has started the other, so what comes is taken at its word.
 */
export class Link<Out extends object, In> {
  readonly #end: ProcessEnd;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  /** @param onMessage what it returns or rejects with is the answer, where a question was asked */
  constructor(end: ProcessEnd, onMessage: (body: In) => unknown) {
    this.#end = end;
    end.on("message", (message: unknown) => this.#receive(message as Envelope<In>, onMessage));
    end.on("disconnect", () => {
      for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(gone());
    });
  }

  /** Lost without a word where the other process has ended: whoever started it is told of that. */
  tell(body: Out): void {
    this.#send({ kind: "tell", body });
  }

  /** @throws IngressError `WORKER_SILENT` when no answer came in time; or as the other side refused, by its code */
  ask<Answer>(body: Out, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!this.#end.connected || this.#pending.size >= MAX_PENDING) {
        reject(gone());
        return;
      }
      this.#lastId += 1;
      const id = this.#lastId;
      const timer = setTimeout(() => this.#take(id)?.reject(gone()), timeoutMs).unref();
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
      this.#send({ kind: "ask", id, body });
    });
  }

  async #receive(message: Envelope<In>, onMessage: (body: In) => unknown): Promise<void> {
    switch (message.kind) {
      case "tell":
        await onMessage(message.body);
        break;
      case "ask": {
        const { id } = message;
        try {
          this.#send({ kind: "answer", id, value: await onMessage(message.body) });
        } catch (error) {
          const code = error instanceof IngressError ? error.code : "WORKER_SILENT";
          this.#send({ kind: "refusal", id, code, message: error instanceof Error ? error.message : "" });
        }
        break;
      }
      case "answer":
        this.#take(message.id)?.resolve(message.value);
        break;
      case "refusal":
        this.#take(message.id)?.reject(
          new IngressError(message.code as IngressError["code"], message.message),
        );
        break;
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  #send(message: Envelope<Out>): void {
    if (this.#end.connected) this.#end.send?.(message, undefined, undefined, () => {});
  }
}

function gone(): IngressError {
  return new IngressError("WORKER_SILENT", "the other process doesn't answer");
}
