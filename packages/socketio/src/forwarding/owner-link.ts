import { Agent } from "node:http";
import type { NodeRecord } from "../cluster/node-record.ts";

/** A connection that was not there after so long is not there. */
export const CONNECT_MS = 1_000;
/**
 * Idle connections to a node are let go before any server's own keep-alive time is over (Node's is 5 s), so that no request
 * is sent into a connection that is just being closed.
 */
const IDLE_MS = 2_000;
const MAX_IDLE = 64;

/** What this node has open to one process that owns sessions. */
export class OwnerLink {
  readonly agent = new Agent({
    keepAlive: true,
    timeout: IDLE_MS,
    maxFreeSockets: MAX_IDLE,
    scheduling: "lifo",
  });
  /** The last attempt failed, and was told of. */
  isFailing = false;
  readonly #open = new Set<(error: Error) => void>();

  /** @param end called once, with why, if the owner goes while this is under way. @returns says that it is over */
  open(end: (error: Error) => void): () => void {
    this.#open.add(end);
    return () => this.#open.delete(end);
  }

  /** The process is gone: nobody waits for it any longer. */
  close(why: string): void {
    const error = new Error(why);
    for (const end of [...this.#open]) end(error);
    this.#open.clear();
    this.agent.destroy();
  }
}

/** Where a node's record says that it is: validated when it was read. */
export function hostAndPort(node: NodeRecord): { readonly host: string; readonly port: number } | undefined {
  if (node.address === undefined) return undefined;
  const { hostname, port } = new URL(node.address);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 80 : Number(port) };
}
