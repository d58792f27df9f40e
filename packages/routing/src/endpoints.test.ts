import { describe, expect, it } from "vitest";
import { endpointsOf, type Pod } from "./endpoints.ts";

const web = {
  namespace: "default",
  selector: { app: "web" },
  targetPort: 3000,
  healthCheck: { port: "serving" as const },
};

function pod(change: Partial<Pod> = {}): Pod {
  return {
    name: "web-1",
    namespace: "default",
    labels: { app: "web", version: "2" },
    address: "127.0.0.2",
    ports: [{ name: "http", containerPort: 3000, port: 3000 }],
    healthy: true,
    ...change,
  };
}

describe("endpointsOf", () => {
  it("gives the pods whose labels hold the selector, with their address, port and health", () => {
    expect(endpointsOf(web, [pod(), pod({ name: "web-2", address: "127.0.0.3", healthy: false })])).toEqual([
      { address: "127.0.0.2", port: 3000, pod: "web-1", healthy: true },
      { address: "127.0.0.3", port: 3000, pod: "web-2", healthy: false },
    ]);
  });

  it.each([
    ["another namespace", pod({ namespace: "shop" })],
    ["another label's value", pod({ labels: { app: "api" } })],
    ["no such label", pod({ labels: {} })],
  ])("leaves out a pod of %s", (_what, one) => {
    expect(endpointsOf(web, [one])).toEqual([]);
  });

  it("selects nothing by an empty selector", () => {
    expect(endpointsOf({ ...web, selector: {} }, [pod()])).toEqual([]);
  });

  it("does not take an inherited property for a label", () => {
    const selector = { constructor: "web" } as unknown as Record<string, string>;
    expect(endpointsOf({ ...web, selector }, [pod()])).toEqual([]);
  });

  it("goes to where the pod really listens on that containerPort", () => {
    const ports = [
      { containerPort: 9376, port: 40_001 },
      { containerPort: 3000, port: 40_002 },
    ];
    expect(endpointsOf(web, [pod({ ports })])[0]?.port).toBe(40_002);
  });

  it("takes a number that the container doesn't declare as it is", () => {
    expect(endpointsOf(web, [pod({ ports: [] })])[0]?.port).toBe(3000);
  });

  it("finds a named port by name, and leaves out a pod that has none of that name", () => {
    const named = { ...web, targetPort: "http" };
    expect(endpointsOf(named, [pod({ ports: [{ name: "http", containerPort: 1, port: 2 }] })])[0]?.port).toBe(
      2,
    );
    expect(endpointsOf(named, [pod({ ports: [{ name: "ws", containerPort: 1, port: 2 }] })])).toEqual([]);
  });

  it("says where a pod has the health check's own port, should that have another number there", () => {
    const ports = [...pod().ports, { containerPort: 8081, port: 40_123 }];
    const moved = pod({ ports });
    expect(endpointsOf({ ...web, healthCheck: { port: 8081 } }, [moved, pod()])).toMatchObject([
      { port: 3000, healthPort: 40_123 },
      { port: 3000 },
    ]);
    expect(endpointsOf({ ...web, healthCheck: { port: 3000 } }, [moved])[0]).not.toHaveProperty("healthPort");
    expect(endpointsOf(web, [moved])[0]).not.toHaveProperty("healthPort");
  });
});
