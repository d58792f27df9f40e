import { isDeepStrictEqual } from "node:util";
import {
  type BackendService,
  type BackendServiceId,
  type Endpoint,
  type Face,
  type LoadBalancer,
  type RoutingModel,
  UrlMapMatcher,
} from "@holdfast/routing";
import { acceptThrough } from "./accept-stages.ts";
import { type AffinityMeans, AffinityPolicy } from "./affinity/affinity-policy.ts";
import { randomCookieKey, readCookieKeys } from "./affinity/cookie-keys.ts";
import { SessionSearch } from "./affinity/session-search.ts";
import { SessionTable } from "./affinity/session-table.ts";
import type { Backend } from "./backend.ts";
import { EndpointTable } from "./endpoints/endpoint-table.ts";
import { IngressError } from "./errors.ts";
import type { IngressEvent } from "./events.ts";
import { FieldSet } from "./http1/field-set.ts";
import { type IngressOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import type { Accept } from "./relay/accept.ts";
import { Clock } from "./relay/clock.ts";
import { ConnectionCounts } from "./relay/connection-counts.ts";
import { Listener } from "./relay/listener.ts";
import { TrustedProxies } from "./relay/trusted-proxies.ts";
import { UpstreamPool } from "./relay/upstream-pool.ts";
import type { IngressStatus } from "./status.ts";
import { ServerCertificates } from "./tls/server-certificates.ts";
import { TlsTerminator } from "./tls/tls-terminator.ts";

export interface ListenOptions {
  /** Name of the load balancer that is served there; one that the model doesn't hold answers 404. */
  readonly loadBalancer: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  /** Shares the address with other processes that ask for it too (SO_REUSEPORT). Default false. */
  readonly reusePort?: boolean;
  /** What a person chooses the port with, for messages. Default `--port`. */
  readonly portFlag?: string;
  /** Speaks TLS there, with the load balancer's certificates. Default false. */
  readonly tls?: boolean;
}

export interface UnlistenOptions {
  readonly loadBalancer: string;
  /** Default false. */
  readonly tls?: boolean;
  /** Milliseconds that open connections are given to end. Default 0. */
  readonly graceMs?: number;
}

const NO_CERTIFICATES = new ServerCertificates([]);

/** What is served at one moment; replaced as a whole. */
interface Serving {
  readonly loadBalancers: ReadonlyMap<string, ServedLoadBalancer>;
  readonly services: ReadonlyMap<BackendServiceId, ServedService>;
}

interface ServedLoadBalancer {
  readonly face: Face;
  readonly urlMap: UrlMapMatcher;
  readonly backends: ReadonlyMap<BackendServiceId, Backend>;
  readonly certificates: ServerCertificates;
}

interface ServedService {
  readonly service: BackendService;
  readonly table: EndpointTable;
  readonly requestFields: FieldSet | undefined;
  readonly responseFields: FieldSet | undefined;
}

/**
 * The data plane that serves a routing model: one address for each load balancer, as on GKE.
 *
 * Requests that are open keep the backend and endpoint they began with, whatever is applied meanwhile; an endpoint
 * that is removed lets them go on for its backend service's draining time.
 */
export class Ingress {
  readonly #options: ResolvedOptions;
  readonly #clock = new Clock();
  readonly #pool: UpstreamPool;
  readonly #trustedProxies: TrustedProxies;
  readonly #connections: ConnectionCounts;
  readonly #upgrades = { open: 0 };
  readonly #affinity: AffinityMeans;
  readonly #listeners = new Map<string, Listener>();
  /** Listeners that were given up, until their connections have ended. */
  readonly #leaving = new Set<Listener>();
  /** Of the load balancers that are listened for with TLS. */
  readonly #terminators = new Map<string, TlsTerminator>();
  #serving: Serving = { loadBalancers: new Map(), services: new Map() };
  #closing: Promise<void> | undefined;

  /** @throws IngressError `OPTION_INVALID` */
  constructor(options: IngressOptions = {}) {
    this.#options = resolveOptions(options);
    this.#pool = new UpstreamPool({ ...this.#options, clock: this.#clock });
    this.#trustedProxies = new TrustedProxies(this.#options.trustedProxies);
    this.#connections = new ConnectionCounts(this.#options.maxConnectionsPerClient);
    const { cookieKeys, maxSessions, sessionIdleMs, askOthers } = this.#options;
    const sessions = new SessionTable(maxSessions, sessionIdleMs);
    this.#affinity = {
      keys: cookieKeys ?? readCookieKeys([randomCookieKey()]),
      sessions,
      search: askOthers && new SessionSearch(sessions, askOthers),
    };
  }

  /**
   * Opens an address of a load balancer; it can have one without TLS and one with.
   *
   * @returns the address that is listened on
   * @throws IngressError `PORT_IN_USE`, `PORT_FORBIDDEN`, `ADDRESS_UNAVAILABLE`, `LISTEN_FAILED`,
   *   `ALREADY_LISTENING`, `INGRESS_CLOSED`
   */
  async listen(options: ListenOptions): Promise<{ host: string; port: number }> {
    const { loadBalancer, host = "127.0.0.1", port, reusePort = false, portFlag, tls = false } = options;
    const name = listenerName(options);
    if (this.#closing) throw new IngressError("INGRESS_CLOSED", "the ingress is closed");
    if (this.#listeners.has(name)) {
      throw new IngressError("ALREADY_LISTENING", `${name} has an address already`);
    }
    const listener = new Listener(
      {
        loadBalancer,
        tls,
        options: this.#options,
        clock: this.#clock,
        pool: this.#pool,
        upgrades: this.#upgrades,
        trustedProxies: this.#trustedProxies,
        onEvent: (event) => this.#emit(event),
        route: (hostname, path) => this.#route(loadBalancer, hostname, path),
        face: () => this.#serving.loadBalancers.get(loadBalancer)?.face ?? "gce",
        closing: false,
      },
      this.#connections,
      this.#acceptOf(tls ? this.#terminatorOf(loadBalancer) : undefined),
    );
    this.#listeners.set(name, listener);
    try {
      return await listener.listen(host, port, { reusePort, portFlag });
    } catch (error) {
      this.#listeners.delete(name);
      if (tls) this.#dropTerminator(loadBalancer);
      throw error;
    }
  }

  /**
   * Gives an address up: it is free when this resolves, and connections to it end as with `close`, by and by. Does
   * nothing where there is none.
   */
  async unlisten(options: UnlistenOptions): Promise<void> {
    const name = listenerName(options);
    const listener = this.#listeners.get(name);
    if (!listener) return;
    this.#listeners.delete(name);
    if (options.tls) this.#dropTerminator(options.loadBalancer);
    this.#leaving.add(listener);
    void listener.close(options.graceMs ?? 0).then(() => this.#leaving.delete(listener));
  }

  /**
   * Serves this model from now on. What is open on a backend service that it no longer has may end. A backend service
   * that was there before keeps its endpoints; a new one has none until `setEndpoints`.
   *
   * New TLS handshakes see its certificates; connections that stand go on.
   *
   * @throws IngressError `MODEL_INVALID`, `CERTIFICATE_INVALID`; the model before is served on
   */
  apply(model: RoutingModel): void {
    const services = new Map<BackendServiceId, ServedService>();
    const loadBalancers = new Map<string, ServedLoadBalancer>();
    try {
      for (const [id, service] of model.backendServices) {
        services.set(id, {
          service,
          table: this.#serving.services.get(id)?.table ?? this.#newTable(id),
          requestFields: FieldSet.of(service.requestHeaders),
          responseFields: FieldSet.of(service.responseHeaders),
        });
      }
      for (const loadBalancer of model.loadBalancers) {
        loadBalancers.set(loadBalancer.name, {
          face: loadBalancer.face,
          urlMap: new UrlMapMatcher(loadBalancer.urlMap),
          backends: this.#backendsOf(loadBalancer, services),
          certificates: this.#certificatesOf(loadBalancer),
        });
      }
    } catch (cause) {
      if (cause instanceof IngressError) throw cause;
      throw new IngressError("MODEL_INVALID", "this routing model can't be served", { cause });
    }
    const removed = [...this.#serving.services].filter(([id]) => !services.has(id));
    this.#serving = { loadBalancers, services };
    for (const [name, terminator] of this.#terminators) terminator.show(this.#shownBy(name));
    for (const [id, { table }] of removed) {
      const left = table.set([]);
      for (const state of left) this.#pool.release(state);
      this.#affinity.sessions.forget(
        id,
        left.map((state) => state.id),
      );
    }
  }

  /**
   * Replaces the endpoints of one backend service; nothing else is touched. An endpoint that stays keeps its
   * connections.
   *
   * @throws IngressError `BACKEND_SERVICE_UNKNOWN`, `ENDPOINT_INVALID`, `ENDPOINTS_TOO_MANY`; the endpoints before
   *   are used on
   */
  setEndpoints(backendServiceId: BackendServiceId, endpoints: readonly Endpoint[]): void {
    const served = this.#serving.services.get(backendServiceId);
    if (!served) {
      throw new IngressError(
        "BACKEND_SERVICE_UNKNOWN",
        `the routing model has no backend service ${backendServiceId}; apply one that has it first`,
      );
    }
    this.#replaceEndpoints(served, endpoints);
  }

  /** What is open now. Walks over every endpoint: for a scrape, not for a request. */
  status(): IngressStatus {
    const { services } = this.#serving;
    return {
      listeners: [...this.#listeners.values()].map((listener) => listener.status()),
      endpoints: [...services].flatMap(([backendService, { table }]) =>
        table.members.map(({ id, endpoint, healthy, down, open }) => ({
          backendService,
          pod: endpoint.pod,
          endpoint: id,
          healthy,
          down,
          open,
        })),
      ),
      upgrades: this.#upgrades.open,
      upstreamConnections: this.#pool.size,
    };
  }

  /**
   * The endpoint (ip:port) that gave this Engine.IO session id, if this ingress saw it do so: the answer to another
   * one's `askOthers`.
   */
  ownerOfSession(backendServiceId: BackendServiceId, sid: string): string | undefined {
    return this.#affinity.sessions.ownerOf(backendServiceId, sid);
  }

  /**
   * Stops accepting, ends idle connections, lets open requests and upgraded connections go on, and destroys what is
   * left after the time. Idempotent.
   *
   * @param graceMs default 0
   */
  close({ graceMs = 0 }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const listeners = [...this.#listeners.values(), ...this.#leaving];
    await Promise.all(listeners.map((listener) => listener.close(graceMs)));
    for (const served of this.#serving.services.values()) this.#replaceEndpoints(served, []);
    for (const name of [...this.#terminators.keys()]) this.#dropTerminator(name);
  }

  #acceptOf(tls: TlsTerminator | undefined): Accept {
    const { proxyProtocol, headersTimeoutMs: timeoutMs, trustedProxies } = this.#options;
    const believes = (address: string) => trustedProxies.length === 0 || this.#trustedProxies.trusts(address);
    return acceptThrough({ tls, proxyProtocol: proxyProtocol ? { timeoutMs, believes } : undefined });
  }

  #terminatorOf(loadBalancer: string): TlsTerminator {
    const terminator = new TlsTerminator(this.#shownBy(loadBalancer), {
      ticketSecret: this.#affinity.keys[0].signatures,
      handshakeTimeoutMs: this.#options.handshakeTimeoutMs,
    });
    this.#terminators.set(loadBalancer, terminator);
    return terminator;
  }

  #dropTerminator(loadBalancer: string): void {
    this.#terminators.get(loadBalancer)?.close();
    this.#terminators.delete(loadBalancer);
  }

  #shownBy(loadBalancer: string): ServerCertificates {
    return this.#serving.loadBalancers.get(loadBalancer)?.certificates ?? NO_CERTIFICATES;
  }

  /** Those that stay are kept as they are: to read them again costs as much as a handshake. */
  #certificatesOf({ name, certificates = [] }: LoadBalancer): ServerCertificates {
    const before = this.#shownBy(name);
    return before.isOf(certificates) ? before : new ServerCertificates(certificates);
  }

  #route(loadBalancer: string, hostname: string, path: string): Backend | undefined {
    const served = this.#serving.loadBalancers.get(loadBalancer);
    const id = served?.urlMap.match(hostname, path);
    return id === undefined ? undefined : served?.backends.get(id);
  }

  #replaceEndpoints({ service, table }: ServedService, endpoints: readonly Endpoint[]): void {
    const left = table.set(endpoints);
    for (const state of left) {
      this.#pool.release(state);
      state.drain(service.drainingTimeoutSec, () => {
        table.dismiss(state);
        if (!table.members.some(({ id }) => id === state.id)) {
          this.#affinity.sessions.forget(service.id, [state.id]);
        }
      });
    }
  }

  /** What the URL map names, and nothing besides: a cluster has many load balancers and many services. */
  #backendsOf(
    { name, urlMap, face, affinities, sessionAffinity }: LoadBalancer,
    services: ReadonlyMap<BackendServiceId, ServedService>,
  ): Map<BackendServiceId, Backend> {
    const named = new Set(urlMap.hosts.flatMap(({ paths }) => paths.map(({ backend }) => backend)));
    if (urlMap.defaultBackend !== undefined) named.add(urlMap.defaultBackend);
    const before = this.#serving.loadBalancers.get(name)?.backends;
    const backends = new Map<BackendServiceId, Backend>();
    for (const id of named) {
      const served = services.get(id);
      if (!served) continue;
      const affinity = affinities?.get(id) ?? served.service.affinity;
      const settings = { backendService: id, affinity, face, sessionAffinity };
      // What a policy remembers only saves work; still, a change elsewhere is no reason to do it again.
      const kept = before?.get(id)?.policy;
      const policy = isDeepStrictEqual(kept?.settings, settings) ? kept : undefined;
      backends.set(id, { ...served, face, policy: policy ?? new AffinityPolicy(settings, this.#affinity) });
    }
    return backends;
  }

  #newTable(backendService: BackendServiceId): EndpointTable {
    const { passiveDownMs, maxPassiveDownMs, maxResets } = this.#options;
    return new EndpointTable({
      backendService,
      passiveDownMs,
      maxPassiveDownMs,
      maxResets,
      onEvent: (event) => this.#emit(event),
    });
  }

  /** A listener that throws must not end a request, let alone the process; but it must not fail in silence. */
  #emit(event: IngressEvent): void {
    try {
      this.#options.onEvent(event);
    } catch (error) {
      process.emitWarning(`an onEvent listener of the ingress threw: ${String(error)}`, "HoldfastWarning");
    }
  }
}

/** What an address is told apart by. */
export function listenerName({ loadBalancer, tls }: Pick<ListenOptions, "loadBalancer" | "tls">): string {
  return tls ? `${loadBalancer} (TLS)` : loadBalancer;
}
