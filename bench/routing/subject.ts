import { Ingress as DataPlane } from "@holdfast/ingress";
import { EndpointIndex, IngressSync, translate, UrlMapMatcher } from "@holdfast/routing";
import { answerHarness } from "../child.ts";
import { ownCpuTime } from "../cpu-time.ts";
import type { RoutingCalls, Size } from "./calls.ts";
import { hostOf, makeCluster, makeIngress, makeSlice } from "./cluster.ts";

/** So many hosts are asked for in turn, however many there are: what differs is the table, not the questions. */
const HOSTS_ASKED = 10;

answerHarness<RoutingCalls>({
  translate: (size) => {
    const { objects, slices } = makeCluster(size);
    const before = ownCpuTime();
    const { model, findings } = translate(objects);
    const index = new EndpointIndex();
    index.setBackendServices(model.backendServices);
    index.setSlices(slices);
    let endpoints = 0;
    for (const id of model.backendServices.keys()) endpoints += index.endpointsOf(id).length;
    const ms = (ownCpuTime() - before) / 1_000;
    check(model.loadBalancers.length === size.ingresses, "every Ingress is translated");
    check(endpoints >= size.endpoints, "every endpoint is found");
    check(findings.length === 0, "nothing is found wrong");
    return ms;
  },

  sync: ({ changes, ...size }) => {
    const { objects, ingresses } = makeCluster(size);
    const sync = new IngressSync();
    sync.sync(objects);
    let us = 0;
    for (let change = 0; change < changes; change += 1) {
      const number = change % size.ingresses;
      const changed = makeIngress(number, size.rules, size.ingresses);
      const next = objects.map((object) => (object === ingresses[number] ? changed : object));
      const before = ownCpuTime();
      const { events } = sync.sync(next);
      us += ownCpuTime() - before;
      check(events.length >= 1, "the changed Ingress is synced");
    }
    return us / changes / 1_000;
  },

  slice: ({ changes, ...size }) => {
    const { model, index, dataPlane } = serveCluster(size);
    const share = Math.ceil(size.endpoints / size.ingresses);
    let us = 0;
    for (let change = 0; change < changes; change += 1) {
      const slice = makeSlice(change % size.ingresses, share, change % 2 === 0);
      const before = ownCpuTime();
      const ids = index.setSlice(slice);
      for (const id of ids) dataPlane.setEndpoints(id, index.endpointsOf(id));
      us += ownCpuTime() - before;
      check(ids.size === 1, "one backend service is touched");
    }
    check(model.backendServices.size === size.ingresses, "every Service is a backend service");
    return us / changes;
  },

  lookup: ({ rules, lookups }) => {
    const { model } = translate(makeCluster({ ingresses: 1, rules, endpoints: 1 }).objects);
    const [balancer] = model.loadBalancers;
    if (balancer === undefined) throw new Error("no load balancer");
    const matcher = new UrlMapMatcher(balancer.urlMap);
    const asked = Array.from({ length: HOSTS_ASKED }, (_, index) =>
      hostOf(0, Math.floor((index * rules) / HOSTS_ASKED)),
    );
    const run = (count: number): number => {
      let found = 0;
      for (let index = 0; index < count; index += 1) {
        if (matcher.match(asked[index % HOSTS_ASKED], "/socket.io/") !== undefined) found += 1;
      }
      return found;
    };
    run(Math.ceil(lookups / 4));
    const before = ownCpuTime();
    const found = run(lookups);
    const ns = ((ownCpuTime() - before) * 1_000) / lookups;
    check(found === lookups, "every look-up finds its backend service");
    return ns;
  },
});

function serveCluster(size: Size) {
  const { objects, slices } = makeCluster(size);
  const { model } = translate(objects);
  const index = new EndpointIndex();
  index.setBackendServices(model.backendServices);
  index.setSlices(slices);
  const dataPlane = new DataPlane();
  dataPlane.apply(model);
  for (const id of model.backendServices.keys()) dataPlane.setEndpoints(id, index.endpointsOf(id));
  return { model, index, dataPlane };
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`it should be so that ${what}`);
}
