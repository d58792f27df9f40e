import type { BackendServiceId } from "@holdfast/routing";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import type { AffinityFacts, AffinityRule, Choice } from "./affinity.ts";
import { readEngineIoQuery, readHandshake } from "./engine-io.ts";
import { MemberIndex } from "./member-index.ts";
import { nodeToken, tokenOfSessionId } from "./session-id.ts";
import type { SessionSearch } from "./session-search.ts";
import type { SessionTable } from "./session-table.ts";

/**
 * Engine.IO session affinity: a request that names a session (`sid` in the query) goes to the endpoint that holds
 * it, whatever its cookie or address says; all others go by another rule.
 *
 * A session id that names its node needs no memory. Any other is learned from the answer to the polling handshake.
 * A session can be served by its endpoint alone; so it is followed there while that can be reached, healthy or not, and
 * also for its draining time after it was removed: it may be failing its health check because it is overloaded, or about to
 * end in good order. Where it can't be reached
 * the request goes where the other rule sends it, and is answered there with "Session ID unknown": its client
 * begins anew.
 */
export class EngineSession implements AffinityRule {
  readonly #backendService: BackendServiceId;
  readonly #otherwise: AffinityRule;
  readonly #sessions: SessionTable;
  readonly #search: SessionSearch | undefined;
  readonly #byNode = new MemberIndex(({ endpoint }) => endpoint.pod, nodeToken, { withLeaving: true });
  readonly #byId = new MemberIndex(
    ({ id }) => id,
    (id) => id,
    { withLeaving: true },
  );

  constructor(given: {
    backendService: BackendServiceId;
    /** The rule of requests without a session. */
    otherwise: AffinityRule;
    sessions: SessionTable;
    search: SessionSearch | undefined;
  }) {
    this.#backendService = given.backendService;
    this.#otherwise = given.otherwise;
    this.#sessions = given.sessions;
    this.#search = given.search;
  }

  /** Asks other ingresses for the owner of a session that this one doesn't know. */
  prepare(table: EndpointTable, facts: AffinityFacts): Promise<void> | undefined {
    if (!this.#search) return undefined;
    const sid = readEngineIoQuery(facts.query)?.sid;
    if (sid === undefined || this.#ownerOf(table, sid)) return undefined;
    return this.#search.search(
      this.#backendService,
      sid,
      (endpoint) => this.#byId.find(table, endpoint) !== undefined,
    );
  }

  choose(table: EndpointTable, facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined {
    const request = readEngineIoQuery(facts.query);
    if (request?.sid === undefined) {
      const choice = this.#otherwise.choose(table, facts, tried);
      const begins = request?.transport === "polling" && facts.method === "GET";
      return choice && begins
        ? { ...choice, learn: (body) => this.#learn(table, choice.state, body) }
        : choice;
    }
    const owner = this.#ownerOf(table, request.sid);
    if (!owner) return this.#otherwise.choose(table, facts, tried);
    if (!owner.down && !tried.has(owner)) {
      const setCookie = this.#otherwise.renew?.(table, facts);
      return { state: owner, reason: "session", ...(setCookie !== undefined && { setCookie }) };
    }
    const choice = this.#otherwise.choose(table, facts, tried);
    return choice && { ...choice, reason: "failed-over" };
  }

  #ownerOf(table: EndpointTable, sid: string): EndpointState | undefined {
    const token = tokenOfSessionId(sid);
    const named = token === undefined ? undefined : this.#byNode.find(table, token);
    if (named) return named;
    const learned = this.#sessions.ownerOf(this.#backendService, sid);
    return learned === undefined ? undefined : this.#byId.find(table, learned);
  }

  #learn(table: EndpointTable, state: EndpointState, body: Buffer): void {
    const sid = readHandshake(body);
    if (sid === undefined || this.#byId.find(table, state.id) !== state) return;
    const token = tokenOfSessionId(sid);
    if (token !== undefined && this.#byNode.find(table, token) === state) return;
    this.#sessions.learn(this.#backendService, sid, state.id);
  }
}
