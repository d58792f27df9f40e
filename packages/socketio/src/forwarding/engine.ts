import type { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** What Engine.IO's documentation has of its server, as far as forwarding uses it. */
export interface EngineServer extends EventEmitter {
  /** The sessions that are open, by their ids. */
  readonly clients: Readonly<Record<string, unknown>>;
  generateId(req: IncomingMessage): string | Promise<string>;
  handleRequest(req: IncomingMessage, res: ServerResponse): void;
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
}
