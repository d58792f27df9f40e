import type { Endpoint, RoutingModel } from "@holdfast/routing";
import type { IngressEvent, RequestEvent } from "../src/events.ts";
import { Ingress } from "../src/ingress.ts";
import type { IngressOptions } from "../src/options.ts";
import type { Address } from "./clients.ts";
import { LOAD_BALANCER, modelOf, SERVICE } from "./models.ts";
import { killPods } from "./pods.ts";
import { endRawPods } from "./raw-pods.ts";

export interface Served extends Address {
  readonly ingress: Ingress;
  readonly events: IngressEvent[];
  requests(): RequestEvent[];
}

const ingresses = new Set<Ingress>();

/** An ingress on a free port that serves these pods as its one backend service. */
export async function serve(
  pods: readonly { readonly endpoint: Endpoint }[],
  { model = modelOf(), ...options }: IngressOptions & { model?: RoutingModel } = {},
): Promise<Served> {
  const events: IngressEvent[] = [];
  const ingress = new Ingress({ onEvent: (event) => events.push(event), ...options });
  ingresses.add(ingress);
  ingress.apply(model);
  if (model.backendServices.has(SERVICE)) {
    ingress.setEndpoints(
      SERVICE,
      pods.map(({ endpoint }) => endpoint),
    );
  }
  const address = await ingress.listen({ loadBalancer: LOAD_BALANCER, port: 0 });
  return { ...address, ingress, events, requests: () => events.filter((event) => event.type === "request") };
}

/** Ends every ingress and pod that a test began. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...ingresses].map((ingress) => ingress.close()));
  ingresses.clear();
  await killPods();
  endRawPods();
}
