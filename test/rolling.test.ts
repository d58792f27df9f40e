import { HealthMonitor, Ingress, type IngressEvent } from "@holdfast/ingress";
import type { Endpoint } from "@holdfast/routing";
import { afterEach, expect, test } from "vitest";
import { LOAD_BALANCER, modelOf, SERVICE } from "../packages/ingress/test/models.ts";
import { Load } from "./support/load.ts";
import { type Ending, PodFleet, type PodProcess } from "./support/pod-fleet.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Pods as processes, probed by a monitor and served by an ingress, under load. */
async function rolling(count: number, ending: Ending) {
  const fleet = new PodFleet(ending);
  closing.push(() => fleet.killAll());
  const events: IngressEvent[] = [];
  const onEvent = (event: IngressEvent) => events.push(event);
  const ingress = new Ingress({ onEvent });
  closing.push(() => ingress.close());
  let served: readonly Endpoint[] = [];
  const monitor = new HealthMonitor({
    onEvent,
    onEndpoints: (id, endpoints) => {
      served = endpoints;
      ingress.setEndpoints(id, endpoints);
    },
  });
  closing.push(() => monitor.close());
  const model = modelOf({ type: "GENERATED_COOKIE", ttlSec: 0 }, { drainingTimeoutSec: 30 });
  ingress.apply(model);
  monitor.apply(model);

  const update = () => monitor.setEndpoints(SERVICE, fleet.endpoints);
  const healthy = (pod: PodProcess) =>
    served.some((endpoint) => endpoint.pod === pod.endpoint.pod && endpoint.healthy);
  const add = async () => {
    const pod = await fleet.add();
    update();
    await expect.poll(() => healthy(pod), { interval: 5, timeout: 10_000 }).toBe(true);
    return pod;
  };
  const remove = (pod: PodProcess) => {
    fleet.remove(pod);
    update();
  };
  await Promise.all(Array.from({ length: count }, add));
  const load = new Load(await ingress.listen({ loadBalancer: LOAD_BALANCER, port: 0 }));
  closing.push(() => load.stop());
  /** Resolves once so many more requests were answered, by this pod alone if one is given. */
  const answers = async (more: number, pod?: PodProcess) => {
    const now = () => (pod ? (load.answers.get(pod.endpoint.pod) ?? 0) : load.answered);
    const wanted = now() + more;
    await expect.poll(now, { interval: 5, timeout: 20_000 }).toBeGreaterThanOrEqual(wanted);
  };
  return { fleet, load, events, add, remove, answers };
}

/**
 * Ends a pod in order, and sees that it had nothing left to do. A preStop hook's sleep is longer than it takes what was
 * sent to the pod before it left the balance to be answered; here that is waited for.
 */
async function end(pod: PodProcess, load: Load): Promise<void> {
  await Promise.all([pod.terminate(), load.caughtUp()]);
  pod.leave();
  expect(await pod.exit()).toBe(0);
}

const failedRequests = (events: readonly IngressEvent[]) =>
  events.filter((event) => event.type === "request" && event.outcome !== "answered");

test("pods are replaced one after another under load, and no request fails", async () => {
  const { fleet, load, events, add, remove, answers } = await rolling(4, "announced");
  await answers(200);
  for (const old of [...fleet.pods]) {
    remove(old);
    const [fresh] = await Promise.all([add(), end(old, load)]);
    await answers(20, fresh);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(failedRequests(events)).toEqual([]);
  expect([...load.answers.keys()].sort()).toEqual(
    Array.from({ length: 8 }, (_, index) => `web-${index + 1}`),
  );
  expect(Math.min(...Object.values(load.counts))).toBeGreaterThan(50);
});

test("a service is scaled from four pods to two to six under load, and no request fails", async () => {
  const { fleet, load, events, add, remove, answers } = await rolling(4, "announced");
  await answers(200);
  const leaving = fleet.pods.slice(2);
  for (const pod of leaving) remove(pod);
  await Promise.all(leaving.map((pod) => end(pod, load)));
  await answers(200);
  const fresh = await Promise.all([add(), add(), add(), add()]);
  await Promise.all(fresh.map((pod) => answers(20, pod)));
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(failedRequests(events)).toEqual([]);
});

test("pods that are sent SIGTERM before they leave the balance, and announce their end, cost no request", async () => {
  const { fleet, load, events, add, remove, answers } = await rolling(4, "announced");
  await answers(200);
  for (const old of [...fleet.pods]) {
    await old.terminate();
    // It is still in the balance, and closes each connection with the answer on it.
    await answers(20, old);
    remove(old);
    await load.caughtUp();
    old.leave();
    const [fresh, code] = await Promise.all([add(), old.exit()]);
    expect(code).toBe(0);
    await answers(20, fresh);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(failedRequests(events)).toEqual([]);
});

test("pods that close their connections at SIGTERM, while they are in the balance, cost no request but a POST", async () => {
  const { fleet, load, add, remove, answers } = await rolling(4, "plain");
  await answers(200);
  for (const old of [...fleet.pods]) {
    await old.terminate();
    await answers(100);
    remove(old);
    const [fresh, code] = await Promise.all([add(), old.exit()]);
    expect(code).toBe(0);
    await answers(20, fresh);
  }
  await load.stop();
  // What was on its way to the pod when that closed the connection can't be known to be undone (RFC 9110 §9.2.2).
  const posts = load.failures.filter(({ kind }) => kind === "post");
  expect(load.failures.filter(({ kind }) => kind !== "post")).toEqual([]);
  expect(posts.filter(({ what }) => what !== "502")).toEqual([]);
  expect(posts.length).toBeLessThanOrEqual(4 * Load.POSTING);
});
