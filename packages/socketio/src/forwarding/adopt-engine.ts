import { type Server as HttpServer, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout } from "node:timers/promises";
import type { Membership } from "../cluster/membership.ts";
import type { NodeRecord } from "../cluster/node-record.ts";
import { engineOptionsOf } from "../stock.ts";
import type { ForwardingCounters } from "./counters.ts";
import type { EngineServer } from "./engine.ts";
import { forwardRequest, type Handover } from "./forward-request.ts";
import { forwardUpgrade } from "./forward-upgrade.ts";
import { FORWARDED_HEADER } from "./header-fields.ts";
import { ownAddress } from "./own-address.ts";
import { hostAndPort, OwnerLink } from "./owner-link.ts";
import { isIssuedWith, readSessionId, signSessionId } from "./signed-session-id.ts";

export interface AdoptEngineOptions {
  readonly membership: Membership;
  /** The HTTP server that the engine is attached to: where it listens, the others reach this node. */
  readonly http?: HttpServer | undefined;
  /** Where they reach it instead, `http://10.0.0.3:3000`. */
  readonly address?: string | undefined;
  /** Requests and upgrades that may be on their way to other nodes at a time. Default 20,000. */
  readonly maxForwarding?: number;
  /** What is counted here. */
  readonly counters: ForwardingCounters;
  /** Told what a person should know; must not throw. */
  readonly onEvent?: (event: ForwardingEvent) => void;
}

export type ForwardingEvent =
  /** A living node did not take a request of one of its sessions; the next is told once it has answered in between. */
  | {
      readonly type: "forward-failed";
      readonly node: string;
      readonly address: string;
      readonly error: Error;
    }
  /** As many requests as may be are on their way to other nodes; told once until one was taken again. */
  | { readonly type: "forward-limit"; readonly max: number }
  /** Sessions begin here and no other node knows where this one is: it needs the option `address`. */
  | { readonly type: "address-missing"; readonly node: string };

export interface Forwarding {
  /** Ends what is under way and gives the engine its own methods back. Idempotent. */
  close(): void;
}

const MAX_FORWARDING = 20_000;
/** Engine.IO's own. */
const MAX_HTTP_BUFFER_SIZE = 1e6;
const TOO_MANY = JSON.stringify({
  code: "FORWARDS_TOO_MANY",
  message: "this server is handing on as many requests as it may",
});
/** How long the first handshakes wait until the other nodes can know of this one. */
const ANNOUNCE_MS = 1_000;

type Refusal = Exclude<keyof ForwardingCounters, "forwarding" | "forwardedRequests" | "forwardedUpgrades">;

interface Owner {
  readonly node: NodeRecord;
  readonly host: string;
  readonly port: number;
}

/** How a request, or an upgrade, is handed over. */
interface Way {
  readonly count: "forwardedRequests" | "forwardedUpgrades";
  readonly forward: (handover: Handover) => void;
  readonly tooMany: () => void;
}

/** Where a request's session is. */
type Whereabouts =
  | { readonly type: "here" }
  | ({ readonly type: "owner" } & Owner)
  | { readonly type: "refused"; readonly why: Refusal };

/**
 * Lets any node answer for every session. The engine's session ids name the node that issued them, and a request or upgrade
 * of a session that is open on another node is handed over to it, whatever brought it here.
 *
 * What can't be handed over is left to the engine itself, which answers `Session ID unknown` at once, with the headers
 * and middlewares that it has; the client begins a new session then.
 */
export function adoptEngine(engine: EngineServer, options: AdoptEngineOptions): Forwarding {
  return new EngineForwarding(engine, options);
}

class EngineForwarding implements Forwarding {
  readonly #counters: ForwardingCounters;
  readonly #engine: EngineServer;
  readonly #membership: Membership;
  readonly #max: number;
  readonly #path: string;
  readonly #onEvent: (event: ForwardingEvent) => void;
  readonly #links = new Map<string, OwnerLink>();
  readonly #undo: (() => void)[] = [];
  #announced: Promise<void> | undefined;
  #isFull = false;
  #saidMissing = false;

  constructor(engine: EngineServer, options: AdoptEngineOptions) {
    const {
      membership,
      http,
      address,
      counters,
      maxForwarding = MAX_FORWARDING,
      onEvent = () => {},
    } = options;
    this.#engine = engine;
    this.#counters = counters;
    this.#membership = membership;
    this.#max = maxForwarding;
    this.#path = `${(engineOptionsOf(engine)?.path ?? "/engine.io").replace(/\/$/, "")}/`;
    this.#onEvent = onEvent;
    this.#wrap();
    this.#undo.push(
      membership.onChange(({ type, node }) => {
        if (type === "left") this.#drop(node.uid);
      }),
    );
    this.#announce(http, address);
  }

  close(): void {
    for (const undo of this.#undo.splice(0)) undo();
    for (const uid of [...this.#links.keys()]) this.#drop(uid);
  }

  #wrap(): void {
    const engine = this.#engine;
    const { generateId, handleRequest, handleUpgrade } = engine;
    engine.generateId = () => this.#newId();
    engine.handleRequest = (req, res) => {
      const refuse = () => handleRequest.call(engine, req, res);
      if (!this.#isRelevant(req, ["GET", "POST"])) return refuse();
      this.#handle(req, refuse, {
        count: "forwardedRequests",
        forward: (handover) => forwardRequest(req, res, handover),
        tooMany: () => res.writeHead(503, { "Content-Type": "application/json" }).end(TOO_MANY),
      });
    };
    engine.handleUpgrade = (req, socket, head) => {
      const refuse = () => handleUpgrade.call(engine, req, socket, head);
      if (!this.#isRelevant(req, ["GET"])) return refuse();
      this.#handle(req, refuse, {
        count: "forwardedUpgrades",
        forward: (handover) => forwardUpgrade(req, socket, head, handover),
        tooMany: () => refuseUpgrade(socket),
      });
    };
    this.#undo.push(() => Object.assign(engine, { generateId, handleRequest, handleUpgrade }));
  }

  /** The others, preflights too, are the engine's: it answers them the same on every node. */
  #isRelevant(req: unknown, methods: readonly string[]): boolean {
    if (!(req instanceof IncomingMessage) || req.headers[FORWARDED_HEADER] !== undefined) return false;
    return methods.includes(req.method ?? "");
  }

  #handle(req: IncomingMessage, refuse: () => void, how: Way): void {
    const place = this.#locate(sessionIdOf(req.url ?? ""));
    if (place.type === "here") refuse();
    else if (place.type === "refused") {
      this.#counters[place.why]++;
      refuse();
    } else if (this.#counters.forwarding >= this.#max) {
      this.#counters.refusedTooMany++;
      if (!this.#isFull) this.#onEvent({ type: "forward-limit", max: this.#max });
      this.#isFull = true;
      how.tooMany();
    } else {
      this.#isFull = false;
      this.#forward(place, refuse, how);
    }
  }

  #forward({ node, host, port }: Owner, refuse: () => void, how: Way): void {
    const link = this.#linkTo(node);
    this.#counters.forwarding++;
    how.forward({
      link,
      host,
      port,
      by: this.#membership.uid,
      maxBytes: engineOptionsOf(this.#engine)?.maxHttpBufferSize ?? MAX_HTTP_BUFFER_SIZE,
      answered: () => {
        this.#counters[how.count]++;
        link.isFailing = false;
      },
      failed: (error) => {
        this.#counters.refusedUnreachable++;
        if (!link.isFailing)
          this.#onEvent({ type: "forward-failed", node: node.node, address: node.address ?? "", error });
        link.isFailing = true;
        refuse();
      },
      over: () => {
        this.#counters.forwarding--;
      },
    });
  }

  #locate(sid: string | undefined): Whereabouts {
    if (sid === undefined || Object.hasOwn(this.#engine.clients, sid)) return { type: "here" };
    const id = readSessionId(sid);
    if (!id) return { type: "refused", why: "refusedForeign" };
    if (id.token === this.#membership.token) return { type: "refused", why: "refusedEnded" };
    const node = this.#membership.find(id.token);
    if (!node) return { type: "refused", why: "refusedOwnerGone" };
    if (!isIssuedWith(id, node.key)) return { type: "refused", why: "refusedNotIssued" };
    const place = hostAndPort(node);
    // Another path is another service that shares the broker.
    if (!place || node.path !== this.#path) return { type: "refused", why: "refusedUnreachable" };
    return { type: "owner", node, ...place };
  }

  #linkTo({ uid }: NodeRecord): OwnerLink {
    const link = this.#links.get(uid) ?? new OwnerLink();
    this.#links.set(uid, link);
    return link;
  }

  #drop(uid: string): void {
    const link = this.#links.get(uid);
    this.#links.delete(uid);
    link?.close("The node that owns the session is gone.");
  }

  #newId(): string | Promise<string> {
    const { token, key, node, isAnnounced } = this.#membership;
    if (!this.#announced && !this.#saidMissing) {
      this.#saidMissing = true;
      this.#onEvent({ type: "address-missing", node });
    }
    return isAnnounced ? signSessionId(token, key) : this.#newIdOnceKnown();
  }

  /** The client's next request may come to a node that has not heard of this one. */
  async #newIdOnceKnown(): Promise<string> {
    await Promise.race([this.#announced, setTimeout(ANNOUNCE_MS, undefined, { ref: false })]);
    return signSessionId(this.#membership.token, this.#membership.key);
  }

  #announce(http: HttpServer | undefined, given: string | undefined): void {
    const announce = () => {
      const address = given ?? (http && ownAddress(http));
      if (address !== undefined) this.#announced = this.#membership.announce({ address, path: this.#path });
    };
    http?.on("listening", announce);
    this.#undo.push(() => http?.off("listening", announce));
    announce();
  }
}

/** The session that a request names, read as Engine.IO reads it: of several, the last. */
function sessionIdOf(url: string): string | undefined {
  const query = url.indexOf("?");
  // Every handshake comes by here, and nearly none has it; its name may be written with percent signs.
  if (query < 0 || !(url.includes("sid=", query) || url.includes("%", query))) return undefined;
  return new URLSearchParams(url.slice(query + 1).split("#", 1)[0]).getAll("sid").at(-1) || undefined;
}

function refuseUpgrade(socket: Duplex): void {
  socket.on("error", () => {});
  const fields = `Connection: close\r\nContent-Type: application/json\r\nContent-Length: ${TOO_MANY.length}`;
  socket.end(`HTTP/1.1 503 Service Unavailable\r\n${fields}\r\n\r\n${TOO_MANY}`);
}
