import { createHash } from "node:crypto";
import type { Argument } from "./connection.ts";

/** A script's call, by its hash; and with its text, for a server that doesn't know it. */
export interface ScriptCall {
  readonly name: string;
  readonly args: readonly Argument[];
  readonly withScript: () => readonly Argument[];
}

/** A script that runs inside of the server, as one step. */
export class Script {
  readonly #text: string;
  readonly #sha: string;

  constructor(text: string) {
    this.#text = text;
    this.#sha = createHash("sha1").update(text).digest("hex");
  }

  /**
   * @param keys the partition's, and in a cluster those whose absence would be mistaken for that of what they hold: while a
   *   slot moves, the server answers TRYAGAIN as long as not all of them are in one place.
   */
  call(keys: readonly string[], args: readonly Argument[]): ScriptCall {
    const rest = [keys.length, ...keys, ...args];
    return {
      name: "EVALSHA",
      args: [this.#sha, ...rest],
      withScript: () => [this.#text, ...rest],
    };
  }
}
