import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder for what a run writes. Whoever makes it removes it when nothing uses it any more; so does the end of this process. */
export class OwnFolder {
  readonly path = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  readonly #atExit = () => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    process.once("exit", this.#atExit);
  }

  /** Idempotent. */
  remove(): void {
    process.off("exit", this.#atExit);
    this.#atExit();
  }
}
