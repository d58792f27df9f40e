import type { BackendServiceId, HostRule, UrlMap } from "./model.ts";

/** DNS allows no longer name, so no rule can be meant by one. */
const MAX_HOST_LENGTH = 253;

/**
 * A URL map compiled for requests. What a match costs depends on the request's own labels and path segments, never
 * on how many hosts and paths there are.
 *
 * An exact host counts before a wildcard, a longer wildcard before a shorter, `*` last. The star of a wildcard stands
 * for any number of labels, or for one where the URL map says so. Within the host an exact path counts before a
 * prefix, a longer prefix before a shorter. A path that the host doesn't have goes to the URL map's default backend,
 * not to another host's rules (GCE: the path matcher's default service).
 */
export class UrlMapMatcher {
  readonly #hosts = new Map<string, PathMatcher>();
  /** By what follows the star, dot included: `*.example.com` is `.example.com`. */
  readonly #wildcards = new Map<string, PathMatcher>();
  readonly #anyHost: PathMatcher | undefined;
  readonly #defaultBackend: BackendServiceId | undefined;
  readonly #oneLabel: boolean;

  constructor(urlMap: UrlMap) {
    let anyHost: PathMatcher | undefined;
    for (const rule of urlMap.hosts) {
      const host = rule.host.toLowerCase();
      const paths = new PathMatcher(rule);
      if (host === "*") anyHost = paths;
      else if (host.startsWith("*.")) this.#wildcards.set(host.slice(1), paths);
      else this.#hosts.set(host, paths);
    }
    this.#anyHost = anyHost;
    this.#defaultBackend = urlMap.defaultBackend;
    this.#oneLabel = urlMap.oneLabelWildcards === true;
  }

  /**
   * @param host the Host header, with or without a port; undefined where the request has none
   * @param path the request target's path; a query is not matched
   * @returns undefined where GKE's 404 backend would answer
   */
  match(host: string | undefined, path: string): BackendServiceId | undefined {
    const paths = this.#findHost(host);
    return paths?.match(path) ?? this.#defaultBackend;
  }

  #findHost(host: string | undefined): PathMatcher | undefined {
    // Most requests write their host as the rules do, and need no other form of it.
    const asWritten = host === undefined ? undefined : this.#hosts.get(host);
    if (asWritten !== undefined) return asWritten;
    const name = normaliseHost(host);
    if (name === "") return this.#anyHost;
    const exact = this.#hosts.get(name);
    if (exact !== undefined) return exact;
    if (this.#wildcards.size > 0) {
      for (let dot = name.indexOf(".", 1); dot !== -1; dot = name.indexOf(".", dot + 1)) {
        const wildcard = this.#wildcards.get(name.slice(dot));
        if (wildcard !== undefined) return wildcard;
        if (this.#oneLabel) break;
      }
    }
    return this.#anyHost;
  }
}

class PathMatcher {
  readonly #exact = new Map<string, BackendServiceId>();
  /** By the prefix with its last slash: `/foo/*` is `/foo/`. */
  readonly #prefixes = new Map<string, BackendServiceId>();
  /** No lookup goes beyond the longest prefix, so a path of a thousand slashes costs no more than others. */
  readonly #longestPrefix: number;

  constructor(rule: HostRule) {
    let longest = 0;
    for (const { path, backend } of rule.paths) {
      // What follows is never matched, so such a rule can't match anything.
      if (/[?#]/.test(path)) continue;
      if (path.endsWith("/*")) {
        const prefix = path.slice(0, -1);
        this.#prefixes.set(prefix, backend);
        longest = Math.max(longest, prefix.length);
      } else {
        this.#exact.set(path, backend);
      }
    }
    this.#longestPrefix = longest;
  }

  match(target: string): BackendServiceId | undefined {
    const path = withoutQuery(target);
    const exact = this.#exact.size === 0 ? undefined : this.#exact.get(path);
    if (exact !== undefined) return exact;
    let slash = path.lastIndexOf("/", this.#longestPrefix - 1);
    while (slash >= 0 && this.#longestPrefix > 0) {
      const backend = this.#prefixes.get(path.slice(0, slash + 1));
      if (backend !== undefined) return backend;
      slash = slash === 0 ? -1 : path.lastIndexOf("/", slash - 1);
    }
    return undefined;
  }
}

function withoutQuery(target: string): string {
  const query = target.indexOf("?");
  const path = query === -1 ? target : target.slice(0, query);
  const fragment = path.indexOf("#");
  return fragment === -1 ? path : path.slice(0, fragment);
}

/** Lower case, without port and without the root's trailing dot; empty for what can't be a name. */
function normaliseHost(host: string | undefined): string {
  if (host === undefined) return "";
  const colon = host.indexOf(":", host.startsWith("[") ? host.indexOf("]") : 0);
  const end = colon === -1 ? host.length : colon;
  const name = host.slice(0, host[end - 1] === "." ? end - 1 : end);
  return name.length > MAX_HOST_LENGTH ? "" : name.toLowerCase();
}
