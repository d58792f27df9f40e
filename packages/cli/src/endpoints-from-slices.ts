import type { BackendService, Endpoint, KubernetesObject } from "@holdfast/routing";

/** The endpoints of a backend service, ready or not, without those that are about to end. */
export function endpointsFromSlices(
  objects: readonly KubernetesObject[],
  { namespace, service, portName = "" }: BackendService,
): Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const object of objects) {
    if (object.kind !== "EndpointSlice" || object.metadata.namespace !== namespace) continue;
    if (object.metadata.labels["kubernetes.io/service-name"] !== service) continue;
    const port = object.ports.find(({ name }) => name === portName)?.port;
    if (port === undefined) continue;
    for (const { addresses, ready, terminating, pod } of object.endpoints) {
      const [address] = addresses;
      if (address === undefined || terminating) continue;
      found.set(`${address} ${port}`, { address, port, pod: pod ?? address, healthy: ready });
    }
  }
  return [...found.values()];
}
