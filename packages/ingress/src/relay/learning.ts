import { BodyReader } from "../http1/body-reader.ts";

/** Bytes of a body that affinity may learn from. */
const ENOUGH_BYTES = 1024;

/** The beginning of an answer, held back until affinity has learnt from it whose session it opens. */
export class Learning {
  /** The answer's head, to be written before the bytes. */
  readonly head: string;
  /** What came of the body, framing included. */
  bytes: Buffer = Buffer.alloc(0);
  readonly #reader = new BodyReader();
  readonly #learn: (firstBodyBytes: Buffer) => void;
  readonly #payload: Buffer[] = [];

  /** @param body its length, as `BodyReader` has it */
  constructor(body: number, head: string, learn: (firstBodyBytes: Buffer) => void) {
    this.head = head;
    this.#learn = learn;
    this.#reader.begin(body);
  }

  /** @returns whether enough has come, and has been learnt from */
  add(bytes: Buffer, at: number, end: number): boolean {
    const piece = Buffer.from(bytes.subarray(at, end));
    this.bytes = this.bytes.length === 0 ? piece : Buffer.concat([this.bytes, piece]);
    this.#reader.read(piece, 0, piece.length, (payload, from, to) => {
      this.#payload.push(payload.subarray(from, to));
    });
    if (!this.#reader.done && this.#reader.payload < ENOUGH_BYTES) return false;
    this.end();
    return true;
  }

  /** There is no more of it. */
  end(): void {
    this.#learn(Buffer.concat(this.#payload).subarray(0, ENOUGH_BYTES));
  }
}
