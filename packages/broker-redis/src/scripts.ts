import { createHash } from "node:crypto";
import { type Argument, ArgumentWriter } from "./resp.ts";

/** A script that runs inside of the server, as one step. */
export class Script {
  readonly #text: string;
  readonly #sha: string;

  constructor(text: string) {
    this.#text = text;
    this.#sha = createHash("sha1").update(text).digest("hex");
  }

  /**
   * The call of this script, by its hash; and with its text, for a server that doesn't know it.
   *
   * @param keys the partition's, and in a cluster those whose absence would be mistaken for that of what they hold: while a
   *   slot moves, the server answers TRYAGAIN as long as not all of them are in one place.
   */
  call(keys: readonly string[], args: readonly Argument[]): { bytes: Buffer; withScript: () => Buffer } {
    const writer = new ArgumentWriter(256);
    for (const arg of args) writer.add(arg);
    return this.callEncoded(keys, writer.take(), args.length);
  }

  /** The same with arguments that are encoded already. */
  callEncoded(
    keys: readonly string[],
    args: Buffer,
    count: number,
  ): { bytes: Buffer; withScript: () => Buffer } {
    const encode = (name: string, body: string) => {
      const writer = new ArgumentWriter(body.length + args.length + 256);
      writer.addEncoded(Buffer.from(`*${count + keys.length + 3}\r\n`));
      for (const arg of [name, body, keys.length, ...keys]) writer.add(arg);
      writer.addEncoded(args);
      return writer.take();
    };
    return { bytes: encode("EVALSHA", this.#sha), withScript: () => encode("EVAL", this.#text) };
  }
}
