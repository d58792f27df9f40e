import { isIP } from "node:net";
import { endpointsOf, type Pod } from "./endpoints.ts";
import type { BackendService, BackendServiceId, Endpoint } from "./model.ts";
import { type EndpointSlice, nameOf } from "./objects.ts";
import { selects } from "./selector.ts";

/** Which Service a slice belongs to. */
const SERVICE_LABEL = "kubernetes.io/service-name";

/**
 * The endpoints of backend services, out of EndpointSlices and pods. Every change says whose endpoints it may have
 * changed, and costs as much as they are, however many others there are.
 *
 * As in a NEG (ingress-gce `pkg/neg/types` `EndpointsDataFromEndpointSlices`) the members are all endpoints that are
 * not terminating, ready or not; a slice's port is found by the Service port's name; an address of the other family
 * is left out.
 */
export class EndpointIndex {
  #services: ReadonlyMap<BackendServiceId, BackendService> = new Map();
  /** Backend services by the Service they stand for, and by one of the labels that it selects. */
  readonly #byService = new Buckets<BackendServiceId>();
  readonly #byLabel = new Buckets<BackendServiceId>();
  readonly #slices = new Map<string, EndpointSlice>();
  readonly #slicesByService = new Buckets<EndpointSlice>();
  readonly #pods = new Map<string, Pod>();
  readonly #podsByLabel = new Buckets<Pod>();

  /**
   * Takes the backend services of a routing model.
   *
   * @returns those that are new, or whose endpoints may be others now
   */
  setBackendServices(services: ReadonlyMap<BackendServiceId, BackendService>): Set<BackendServiceId> {
    const changed = new Set<BackendServiceId>();
    const before = this.#services;
    for (const [id, service] of before) {
      if (services.get(id) === service) continue;
      this.#byService.delete(serviceKey(service), id);
      for (const key of firstLabelKey(service)) this.#byLabel.delete(key, id);
    }
    for (const [id, service] of services) {
      const earlier = before.get(id);
      if (earlier === service) continue;
      this.#byService.add(serviceKey(service), id);
      for (const key of firstLabelKey(service)) this.#byLabel.add(key, id);
      if (earlier === undefined || membership(earlier) !== membership(service)) changed.add(id);
    }
    this.#services = services;
    return changed;
  }

  /** Adds a slice, or replaces the one of its name. */
  setSlice(slice: EndpointSlice): Set<BackendServiceId> {
    const name = nameOf(slice);
    const before = this.#slices.get(name);
    if (before === slice) return new Set();
    const changed = this.deleteSlice(name);
    this.#slices.set(name, slice);
    const service = serviceOfSlice(slice);
    if (service === undefined) return changed;
    this.#slicesByService.add(service, slice);
    for (const id of this.#byService.get(service)) changed.add(id);
    return changed;
  }

  /** @param name `namespace/name` */
  deleteSlice(name: string): Set<BackendServiceId> {
    const slice = this.#slices.get(name);
    if (slice === undefined) return new Set();
    this.#slices.delete(name);
    const service = serviceOfSlice(slice);
    if (service === undefined) return new Set();
    this.#slicesByService.delete(service, slice);
    return new Set(this.#byService.get(service));
  }

  /** Takes all slices as they are now; those that are the same objects as before cost nothing. */
  setSlices(slices: Iterable<EndpointSlice>): Set<BackendServiceId> {
    const changed = new Set<BackendServiceId>();
    const gone = new Set(this.#slices.keys());
    for (const slice of slices) {
      gone.delete(nameOf(slice));
      for (const id of this.setSlice(slice)) changed.add(id);
    }
    for (const name of gone) for (const id of this.deleteSlice(name)) changed.add(id);
    return changed;
  }

  /** Adds a pod, or replaces the one of its name. */
  setPod(pod: Pod): Set<BackendServiceId> {
    const changed = this.deletePod(podName(pod));
    this.#pods.set(podName(pod), pod);
    for (const key of labelKeys(pod.namespace, pod.labels)) this.#podsByLabel.add(key, pod);
    for (const id of this.#selecting(pod)) changed.add(id);
    return changed;
  }

  /** @param name `namespace/name` */
  deletePod(name: string): Set<BackendServiceId> {
    const pod = this.#pods.get(name);
    if (pod === undefined) return new Set();
    this.#pods.delete(name);
    for (const key of labelKeys(pod.namespace, pod.labels)) this.#podsByLabel.delete(key, pod);
    return this.#selecting(pod);
  }

  /** The endpoints of a backend service, none where it isn't known; each address and port once. */
  endpointsOf(id: BackendServiceId): Endpoint[] {
    const service = this.#services.get(id);
    if (service === undefined) return [];
    const endpoints = new Map<string, Endpoint>();
    const add = (endpoint: Endpoint) => {
      const key = `${endpoint.address} ${endpoint.port}`;
      const other = endpoints.get(key);
      // A pod may be in two slices for a moment, while Kubernetes moves it from one to the other.
      if (other === undefined || (endpoint.healthy && !other.healthy)) endpoints.set(key, endpoint);
    };
    for (const slice of this.#slicesByService.get(serviceKey(service))) sliceEndpoints(slice, service, add);
    for (const key of firstLabelKey(service)) {
      for (const endpoint of endpointsOf(service, [...this.#podsByLabel.get(key)])) add(endpoint);
    }
    return [...endpoints.values()];
  }

  #selecting(pod: Pod): Set<BackendServiceId> {
    const ids = new Set<BackendServiceId>();
    for (const key of labelKeys(pod.namespace, pod.labels)) {
      for (const id of this.#byLabel.get(key)) {
        const service = this.#services.get(id);
        if (service !== undefined && selects(service.selector, pod.labels)) ids.add(id);
      }
    }
    return ids;
  }
}

function sliceEndpoints(slice: EndpointSlice, service: BackendService, add: (one: Endpoint) => void): void {
  const family = service.ipFamily ?? "IPv4";
  if (slice.addressType !== family) return;
  const named = slice.ports.find(({ name }) => name === (service.portName ?? ""));
  // A port that isn't said is every port, so the pods listen where the Service says.
  const port = named?.port ?? service.targetPort;
  if (named === undefined || typeof port !== "number") return;
  for (const { addresses, ready, terminating, pod } of slice.endpoints) {
    const [address] = addresses;
    if (terminating || address === undefined || isIP(address) !== (family === "IPv4" ? 4 : 6)) continue;
    if (address.includes("%")) continue;
    add({ address, port, pod: pod ?? address, healthy: ready });
  }
}

/** What of a backend service decides on its endpoints. */
function membership({
  namespace,
  service,
  portName,
  targetPort,
  selector,
  ipFamily,
}: BackendService): string {
  return JSON.stringify([namespace, service, portName, targetPort, selector, ipFamily]);
}

function serviceKey({ namespace, service }: BackendService): string {
  return `${namespace}/${service}`;
}

function serviceOfSlice({ metadata }: EndpointSlice): string | undefined {
  const service = Object.hasOwn(metadata.labels, SERVICE_LABEL) ? metadata.labels[SERVICE_LABEL] : undefined;
  return service === undefined ? undefined : `${metadata.namespace}/${service}`;
}

function podName({ namespace, name }: Pod): string {
  return `${namespace}/${name}`;
}

function* labelKeys(namespace: string, labels: Readonly<Record<string, string>>): Generator<string> {
  for (const [name, value] of Object.entries(labels)) yield `${namespace} ${name}=${value}`;
}

/** Where the pods of a selector are found: those with its first label. None where it selects nothing. */
function firstLabelKey({ namespace, selector }: BackendService): string[] {
  const { value } = labelKeys(namespace, selector).next();
  return value === undefined ? [] : [value];
}

/** Sets by key; an empty one is not kept. */
class Buckets<Item> {
  readonly #sets = new Map<string, Set<Item>>();

  get(key: string): ReadonlySet<Item> {
    return this.#sets.get(key) ?? new Set();
  }

  add(key: string, item: Item): void {
    const set = this.#sets.get(key);
    if (set === undefined) this.#sets.set(key, new Set([item]));
    else set.add(item);
  }

  delete(key: string, item: Item): void {
    const set = this.#sets.get(key);
    if (set?.delete(item) && set.size === 0) this.#sets.delete(key);
  }
}
