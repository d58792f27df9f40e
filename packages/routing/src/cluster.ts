import {
  type BuiltBackendService,
  buildBackendService,
  type PortReference,
  portText,
} from "./backend-service.ts";
import { type ReadCertificate, readCertificate } from "./certificate.ts";
import type { Face } from "./model.ts";
import {
  type BackendConfig,
  type Deployment,
  type Ingress,
  type KubernetesObject,
  nameOf,
  type Secret,
  type Service,
  type ServicePort,
} from "./objects.ts";
import { selects } from "./selector.ts";

interface Ports {
  readonly byName: ReadonlyMap<string, ServicePort>;
  readonly byNumber: ReadonlyMap<number, ServicePort>;
}

/** The objects by what refers to them. */
export class Cluster {
  readonly ingresses: Ingress[] = [];
  readonly #services = new Map<string, Service>();
  readonly #configs = new Map<string, BackendConfig>();
  readonly #secrets = new Map<string, Secret>();
  /** By the namespace and each label of their pods. */
  readonly #deployments = new Map<string, Deployment[]>();
  readonly #ports: WeakMap<Service, Ports>;
  readonly #certificates: WeakMap<Secret, ReadCertificate>;
  /** Taken over from the cluster before, so not all of it may hold in this one. */
  readonly #built: Map<string, BuiltBackendService>;
  readonly #holding = new Set<BuiltBackendService>();

  /** @param before what was made of objects that are still the same is taken over from there; it can't be used on */
  constructor(objects: readonly KubernetesObject[], before?: Cluster) {
    this.#ports = before === undefined ? new WeakMap() : before.#ports;
    this.#certificates = before === undefined ? new WeakMap() : before.#certificates;
    this.#built = before === undefined ? new Map() : before.#built;
    for (const object of objects) {
      if (object.kind === "Ingress") this.ingresses.push(object);
      else if (object.kind === "Service") this.#services.set(nameOf(object), object);
      else if (object.kind === "BackendConfig") this.#configs.set(nameOf(object), object);
      else if (object.kind === "Secret") this.#secrets.set(nameOf(object), object);
      else if (object.kind === "Deployment") this.#addDeployment(object);
    }
  }

  service(name: string): Service | undefined {
    return this.#services.get(name);
  }

  backendConfig(name: string): BackendConfig | undefined {
    return this.#configs.get(name);
  }

  secret(name: string): Secret | undefined {
    return this.#secrets.get(name);
  }

  certificate(secret: Secret): ReadCertificate {
    const read = this.#certificates.get(secret) ?? readCertificate(secret);
    this.#certificates.set(secret, read);
    return read;
  }

  /** Those whose pods a Service selects, in the order of the manifests. */
  deployments(service: Service): readonly Deployment[] {
    const { selector } = service.spec;
    const [label] = Object.entries(selector);
    if (label === undefined) return [];
    const candidates = this.#deployments.get(labelKey(service.metadata.namespace, ...label)) ?? [];
    return candidates.filter(({ spec }) => selects(selector, spec.template.labels));
  }

  /** A port's name, where the Ingress gives one, counts before its number. */
  port(service: Service, reference: PortReference): ServicePort | undefined {
    let ports = this.#ports.get(service);
    if (ports === undefined) {
      // The first of several wins, as in GKE's search; hence the reversed order.
      const reversed = service.spec.ports.toReversed();
      ports = {
        byName: new Map(reversed.map((port) => [port.name ?? "", port])),
        byNumber: new Map(reversed.map((port) => [port.port, port])),
      };
      this.#ports.set(service, ports);
    }
    if (reference.name !== undefined) return ports.byName.get(reference.name);
    return reference.number === undefined ? undefined : ports.byNumber.get(reference.number);
  }

  backendService(
    service: Service,
    port: ServicePort,
    reference: PortReference,
    face: Face,
  ): BuiltBackendService {
    const key = `${nameOf(service)} ${portText(reference)} ${face}`;
    const known = this.#built.get(key);
    if (known !== undefined && (this.#holding.has(known) || known.uses.hold(this))) {
      this.#holding.add(known);
      return known;
    }
    const built = buildBackendService({ service, port, reference, face }, this);
    this.#built.set(key, built);
    this.#holding.add(built);
    return built;
  }

  /** Forgets what was made of Services that are no longer there. */
  forgetGone(): void {
    for (const [key, { backendService }] of this.#built) {
      if (!this.#services.has(`${backendService.namespace}/${backendService.service}`))
        this.#built.delete(key);
    }
  }

  #addDeployment(deployment: Deployment): void {
    for (const label of Object.entries(deployment.spec.template.labels)) {
      const key = labelKey(deployment.metadata.namespace, ...label);
      const others = this.#deployments.get(key);
      if (others === undefined) this.#deployments.set(key, [deployment]);
      else others.push(deployment);
    }
  }
}

function labelKey(namespace: string, name: string, value: string): string {
  return `${namespace} ${name}=${value}`;
}
