import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Member, Members } from "./members.ts";

export interface SilentNodesOptions {
  readonly members: Members;
  /** Asks all nodes what each answers at once. Resolves once they have been asked, as far as this node can see. */
  readonly probe: () => Promise<void>;
  /** Told of a node that nobody is to wait for any more. */
  readonly onSilent: (node: Member) => void;
}

/** A node that says nothing for so long has its server looked for; one that has none there is given no more time. */
const REFUSED_MS = 1_000;
/** The same where it is not known whether there is a server: the network may let nobody through. */
const UNKNOWN_MS = 3_000;
/** Between two looks at one node, and two questions to those that are silent. */
const AGAIN_MS = 1_000;

/** One node that is looked for, or was a moment ago. */
interface Look {
  isHeard: boolean;
  /** It is to be looked for once more. */
  isWanted: boolean;
}

/**
 * Nodes that are members by the broker's word, and are gone all the same: a killed one's lease takes its time. Such a node
 * answers nothing, not even what every node answers at once, and its server can't be reached either. Both have to be
 * so: a node that is only slow, or stopped, still has its connections accepted by the kernel, and is waited for.
 *
 * It is asked again and again until its lease is over, and counts again from its first word on.
 */
export class SilentNodes {
  readonly #options: SilentNodesOptions;
  readonly #silent = new Set<string>();
  readonly #looks = new Map<string, Look>();
  #again: NodeJS.Timeout | undefined;
  #probing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: SilentNodesOptions) {
    this.#options = options;
  }

  has(uid: string): boolean {
    return this.#silent.has(uid);
  }

  /** These have not answered for a while. */
  check(missing: ReadonlySet<string>): void {
    for (const node of this.#options.members.nodes()) if (missing.has(node.uid)) void this.#look(node);
  }

  /** A node has said something, or is no member any more. */
  heard(uid: string): void {
    const look = this.#looks.get(uid);
    if (look) look.isHeard = true;
    if (!this.#silent.delete(uid) || this.#silent.size > 0) return;
    clearInterval(this.#again);
    this.#again = undefined;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#again);
  }

  async #look(node: Member): Promise<void> {
    const { uid } = node;
    const known = this.#looks.get(uid);
    if (known) known.isWanted = true;
    if (known || this.#isClosed || this.#silent.has(uid)) return;
    const look: Look = { isHeard: false, isWanted: false };
    this.#looks.set(uid, look);
    // The broker is away: then nothing can be said of anybody.
    await this.#find(node, look).catch(() => undefined);
    await pause(AGAIN_MS, undefined, { ref: false });
    this.#looks.delete(uid);
    if (look.isWanted) this.check(new Set([uid]));
  }

  async #find(node: Member, look: Look): Promise<void> {
    // Without an address there is no second witness: the lease has to tell.
    if (node.address === undefined) return;
    await this.#probe();
    const begun = performance.now();
    const server = await serverAt(node.address);
    if (server === "there") return;
    const patience = server === "none" ? REFUSED_MS : UNKNOWN_MS;
    await pause(Math.max(0, begun + patience - performance.now()), undefined, { ref: false });
    if (look.isHeard || this.#isClosed) return;
    this.#silent.add(node.uid);
    this.#again ??= setInterval(() => void this.#probe().catch(() => undefined), AGAIN_MS).unref();
    this.#options.onSilent(node);
  }

  /** One at a time, for all that are looked for. */
  #probe(): Promise<void> {
    this.#probing ??= this.#options.probe().finally(() => {
      this.#probing = undefined;
    });
    return this.#probing;
  }
}

/** Whether somebody listens there: a process that is stopped or busy does. */
function serverAt(address: string): Promise<"there" | "none" | "unknown"> {
  const { hostname, port } = new URL(address);
  const { promise, resolve } = Promise.withResolvers<"there" | "none" | "unknown">();
  const host = hostname.replace(/^\[|\]$/g, "");
  const socket = connect({ host, port: port === "" ? 80 : Number(port), timeout: REFUSED_MS });
  socket.once("connect", () => resolve("there"));
  socket.once("timeout", () => resolve("unknown"));
  socket.once("error", ({ code }: NodeJS.ErrnoException) =>
    resolve(code === "ECONNREFUSED" ? "none" : "unknown"),
  );
  return promise.finally(() => socket.destroy());
}
