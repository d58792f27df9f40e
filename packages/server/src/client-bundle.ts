import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import type { Log } from "./log.ts";

interface BundleFile {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

/** The client for pages without a bundler of their own, read once: `/holdfast/client.js` and its source map. */
export class ClientBundle {
  readonly #files = new Map<string, BundleFile>();

  static async read(log: Log): Promise<ClientBundle> {
    const bundle = new ClientBundle();
    const script = fileURLToPath(import.meta.resolve("@holdfast/client/browser"));
    try {
      // The script names its source map by the name that it was built with.
      await bundle.#add("/holdfast/client.js", script, "text/javascript; charset=utf-8");
      await bundle.#add("/holdfast/holdfast.js.map", `${script}.map`, "application/json");
      await bundle.#add("/holdfast/client.js.map", `${script}.map`, "application/json");
    } catch (err) {
      log.warn(
        { err },
        "the browser bundle was not built, so /holdfast/client.js is not there: npm run prepare",
      );
    }
    return bundle;
  }

  /** Answers when the path is one of the bundle's. */
  serve(path: string, request: IncomingMessage, response: ServerResponse): boolean {
    const file = this.#files.get(path);
    if (!file) return false;
    // A new version of the server brings a new client under the same name: always asked for, seldom sent.
    const headers = { "content-type": file.type, "cache-control": "no-cache", etag: file.etag };
    if (request.headers["if-none-match"] === file.etag) {
      response.writeHead(304, headers).end();
    } else {
      response.writeHead(200, { ...headers, "content-length": file.body.length });
      response.end(request.method === "HEAD" ? undefined : file.body);
    }
    return true;
  }

  async #add(path: string, file: string, type: string): Promise<void> {
    const body = await readFile(file);
    const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
    this.#files.set(path, { type, body, etag });
  }
}
