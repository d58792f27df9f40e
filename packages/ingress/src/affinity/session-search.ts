import type { BackendServiceId } from "@holdfast/routing";
import type { SessionTable } from "./session-table.ts";

/**
 * Asks the other ingresses that share the work, such as further worker processes, which endpoint (ip:port) gave a
 * session id; undefined where none knows.
 */
export type AskOthers = (backendService: BackendServiceId, sid: string) => Promise<string | undefined>;

/** Milliseconds that a request waits for the others. */
const PATIENCE_MS = 250;
/** Session ids that are asked for at a time. Any client can make them up; past this they aren't asked for. */
const MAX_SEARCHES = 256;

/** Finds the owners of sessions that another ingress has learned of. */
export class SessionSearch {
  readonly #sessions: SessionTable;
  readonly #ask: AskOthers;
  readonly #searches = new Map<string, Promise<void>>();

  constructor(sessions: SessionTable, ask: AskOthers) {
    this.#sessions = sessions;
    this.#ask = ask;
  }

  /**
   * Resolves once the session table knows the owner, if any of the others does; never rejects.
   *
   * @param isMember whether this ingress has the endpoint too: it may have been removed here already
   */
  search(
    backendService: BackendServiceId,
    sid: string,
    isMember: (endpoint: string) => boolean,
  ): Promise<void> | undefined {
    const key = `${backendService} ${sid}`;
    const under = this.#searches.get(key);
    if (under || this.#searches.size >= MAX_SEARCHES) return under;
    const search = this.#search(backendService, sid, isMember).finally(() => this.#searches.delete(key));
    this.#searches.set(key, search);
    return search;
  }

  async #search(
    backendService: BackendServiceId,
    sid: string,
    isMember: (endpoint: string) => boolean,
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, undefined);
    });
    try {
      const endpoint = await Promise.race([this.#ask(backendService, sid), timeout]);
      if (endpoint !== undefined && isMember(endpoint)) this.#sessions.learn(backendService, sid, endpoint);
    } catch {
      // Whoever can't be asked doesn't know: the request goes on as if it had no session.
    } finally {
      clearTimeout(timer);
    }
  }
}
