import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, vi } from "vitest";
import { RunningCommand } from "./command.ts";

const wait = { timeout: 15_000, interval: 20 };

/** A folder of manifests, and `holdfast ingress` on it. Close it at the end of a test. */
export class RunningIngress {
  readonly folder = mkdtempSync(join(tmpdir(), "holdfast-ingress-"));
  readonly #servers: Server[] = [];
  #command: RunningCommand | undefined;

  get command(): RunningCommand {
    if (!this.#command) throw new Error("the command was not started");
    return this.#command;
  }

  /** Starts the command on the folder, on free ports. */
  start(...flags: readonly string[]): void {
    this.#command = new RunningCommand([
      "ingress",
      "--manifests",
      this.folder,
      "--json",
      ...["--log", "none", "--http-port", "0", "--https-port", "0", "--admin-port", "0", ...flags],
    ]);
  }

  async ready(): Promise<void> {
    await vi.waitFor(() => expect(this.told("ready")).toHaveLength(1), wait);
    await this.metric(/^holdfast_ingress_endpoint_healthy\{.*\} 1$/m);
  }

  /** Resolves once its metrics have such a line. */
  async metric(line: RegExp): Promise<void> {
    await vi.waitFor(async () => expect((await get(this.adminUrl("/metrics"))).body).toMatch(line), wait);
  }

  /** What it has told of one type. */
  told(type: string): readonly { readonly [field: string]: unknown }[] {
    return this.command.events().filter((event) => event.type === type);
  }

  /** Where a load balancer is served, by what was told last. */
  urlOf(loadBalancer: string, tls = false): string {
    const addresses = this.told("served").at(-1)?.addresses as
      | readonly { loadBalancer: string; tls: boolean; url: string }[]
      | undefined;
    const found = addresses?.find((one) => one.loadBalancer === loadBalancer && one.tls === tls);
    if (!found) throw new Error(`${loadBalancer} is not served`);
    return found.url;
  }

  adminUrl(path: string): string {
    return `${this.told("ready")[0]?.admin}${path}`;
  }

  write(file: string, manifest: string): void {
    writeFileSync(join(this.folder, file), manifest);
  }

  /** A pod that answers as told, and its slice. */
  async pod(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
    const server = createServer(handle);
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  async close(): Promise<void> {
    this.#command?.child.kill("SIGKILL");
    await this.#command?.exit();
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    rmSync(this.folder, { recursive: true });
  }
}

/** A Service with the pods behind it, and an Ingress that sends everything there. */
export function served(name: string, pods: readonly Server[], { spec = "", annotations = "" } = {}): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { run: ${name} }, ports: [{ name: http, port: 80, targetPort: http }] }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ${name}, annotations: { kubernetes.io/ingress.class: holdfast${annotations} } }
spec:
  defaultBackend: { service: { name: ${name}, port: { number: 80 } } }
${spec}
---
${slices(name, pods)}`;
}

/** A Secret of type kubernetes.io/tls. */
export function secret(name: string, of: { readonly chain: string; readonly privateKey: string }): string {
  const encoded = (text: string) => Buffer.from(text).toString("base64");
  return `
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: { name: ${name} }
data: { tls.crt: ${encoded(of.chain)}, tls.key: ${encoded(of.privateKey)} }
`;
}

/** One slice for each pod, for each may have a port of its own. */
export function slices(name: string, pods: readonly Server[]): string {
  return pods
    .map((pod, index) => {
      const { address, port } = pod.address() as AddressInfo;
      return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-${index}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: http, port: ${port} }]
endpoints: [{ addresses: [${address}], targetRef: { kind: Pod, name: ${name}-${index} } }]`;
    })
    .join("\n---\n");
}

/** One request over a connection of its own. */
export function get(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    outgoing.on("error", reject).end();
  });
}
