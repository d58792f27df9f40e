import type { LoadBalancer } from "@holdfast/routing";
import { expect, test } from "vitest";
import { AddressPlan } from "./address-plan.ts";

const named = (name: string, settings: Partial<LoadBalancer> = {}): LoadBalancer => ({
  name,
  face: "holdfast",
  urlMap: { hosts: [] },
  plainHttp: true,
  sessionAffinity: false,
  ...settings,
});
const certificates = [{ name: "default/tls", chain: "", privateKey: "" }];

const plan = new AddressPlan({ httpPort: 8080, httpsPort: 8443 });
const ports = (...loadBalancers: LoadBalancer[]) =>
  plan
    .plan(loadBalancers)
    .map(({ loadBalancer, tls, port }) => `${loadBalancer}${tls ? " TLS" : ""} ${port}`);

test("gives each its own ports, which it keeps whatever comes and goes, and the lowest free ones to what comes", () => {
  expect(ports(named("a"), named("b"), named("c"))).toEqual(["a 8080", "b 8081", "c 8082"]);
  expect(ports(named("c"), named("a"))).toEqual(["c 8082", "a 8080"]);
  expect(ports(named("d"), named("a"), named("c"))).toEqual(["d 8081", "a 8080", "c 8082"]);
});

test("gives a port for TLS where there is a certificate, and none for HTTP where that isn't served", () => {
  expect(ports(named("a", { certificates }), named("c", { certificates, plainHttp: false }))).toEqual([
    "a 8080",
    "a TLS 8443",
    "c TLS 8445",
  ]);
});

test("takes any free port for each where the first one is 0", () => {
  const free = new AddressPlan({ httpPort: 0, httpsPort: 0 });
  expect(free.plan([named("a"), named("b")]).map(({ port }) => port)).toEqual([0, 0]);
});
