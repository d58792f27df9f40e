import { createReadStream, type Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Problem, type ProblemCode, problem } from "./problem.ts";

/** Bounds of what is read, so that a wrong path costs little. */
export interface SourceLimits {
  /** Bytes of one file. */
  readonly maxFileBytes: number;
  readonly maxFiles: number;
  /** Bytes of all files together. */
  readonly maxTotalBytes: number;
}

export interface SourceFile {
  /** As the user named it, or the folder they named and the way from there. */
  readonly file: string;
  readonly text: string;
}

/** The name that standard input has in positions. */
const STDIN = "<stdin>";

const MANIFEST = /\.(?:ya?ml|json)$/;

/**
 * Reads the texts that paths name, one after the other, in the order given: files whatever they are called, folders
 * with everything below that ends in .yaml, .yml or .json, sorted; `-` is the text `stdin`. In folders, names that
 * begin with a dot and `node_modules` are left out, and links to folders are not followed. A file that is named
 * twice is read once.
 */
export class SourceReader {
  readonly #problems: Problem[];
  readonly #limits: SourceLimits;
  readonly #stdin: string;
  readonly #seen = new Set<string>();
  #files = 0;
  #bytes = 0;

  /** @param problems where to report */
  constructor(limits: SourceLimits, stdin: string, problems: Problem[]) {
    this.#problems = problems;
    this.#limits = limits;
    this.#stdin = stdin;
  }

  async *read(paths: readonly string[]): AsyncGenerator<SourceFile> {
    for (const path of paths) {
      for await (const file of this.#filesOf(path)) {
        if (!this.#admit(file)) return;
        const text = file === STDIN && path === "-" ? this.#fromStdin() : await this.#fromFile(file);
        if (text !== undefined) yield { file, text };
      }
    }
  }

  /** The files that would be read, without reading them. */
  async *files(paths: readonly string[]): AsyncGenerator<string> {
    for (const path of paths) {
      for await (const file of this.#filesOf(path)) {
        if (!this.#admit(file)) return;
        yield file;
      }
    }
  }

  #filesOf(path: string): AsyncIterable<string> | Iterable<string> {
    return path === "-" ? [STDIN] : this.#expand(path);
  }

  /** Whether one more file is within the limits. */
  #admit(file: string): boolean {
    this.#files += 1;
    if (this.#files <= this.#limits.maxFiles && this.#bytes <= this.#limits.maxTotalBytes) return true;
    const { maxFiles, maxTotalBytes } = this.#limits;
    this.#report(
      "TOO_MANY_FILES",
      file,
      `more than ${maxFiles} files or ${maxTotalBytes} bytes; stopped here`,
    );
    return false;
  }

  async *#expand(path: string): AsyncGenerator<string> {
    try {
      if (!(await stat(path)).isDirectory()) yield path;
      else yield* this.#walk(path);
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOENT" || code === "ENOTDIR")
        this.#report("PATH_NOT_FOUND", path, "no such file or folder");
      else this.#report("FILE_UNREADABLE", path, `can't be read (${code})`);
    }
  }

  async *#walk(folder: string): AsyncGenerator<string> {
    let entries: Dirent[];
    try {
      entries = await readdir(folder, { withFileTypes: true });
    } catch (error) {
      this.#report("FILE_UNREADABLE", folder, `can't be read (${errorCode(error)})`);
      return;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
      if (entry.isDirectory()) yield* this.#walk(path);
      else if (MANIFEST.test(entry.name) && (entry.isFile() || (await isLinkToFile(entry, path)))) yield path;
    }
  }

  #fromStdin(): string | undefined {
    if (this.#seen.has(STDIN)) return undefined;
    this.#seen.add(STDIN);
    const bytes = Buffer.byteLength(this.#stdin);
    return this.#fits(STDIN, bytes) ? withoutMark(this.#stdin) : undefined;
  }

  async #fromFile(file: string): Promise<string | undefined> {
    try {
      const real = await realpath(file).catch(() => file);
      if (this.#seen.has(real)) return undefined;
      this.#seen.add(real);
      const bytes = await readUpTo(file, this.#limits.maxFileBytes + 1);
      if (!this.#fits(file, bytes.length)) return undefined;
      return withoutMark(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    } catch (error) {
      const code = errorCode(error);
      if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") {
        this.#report("FILE_NOT_TEXT", file, "not UTF-8 text");
      } else {
        this.#report("FILE_UNREADABLE", file, `can't be read (${code})`);
      }
      return undefined;
    }
  }

  #fits(file: string, bytes: number): boolean {
    this.#bytes += bytes;
    if (bytes <= this.#limits.maxFileBytes) return true;
    this.#report("FILE_TOO_LARGE", file, `over ${this.#limits.maxFileBytes} bytes`);
    return false;
  }

  #report(code: ProblemCode, file: string, message: string): void {
    this.#problems.push(problem(code, { file }, message));
  }
}

/** A pipe or a device has no size to ask for beforehand, so reading itself is bounded. */
async function readUpTo(file: string, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(file, { end: limit - 1 })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function isLinkToFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return false;
  const target = await stat(path).catch(() => undefined);
  return target?.isFile() === true;
}

function withoutMark(text: string): string {
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}
