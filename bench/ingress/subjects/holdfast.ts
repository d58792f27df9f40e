import { Ingress } from "@holdfast/ingress";
import { LOAD_BALANCER, modelOf, SERVICE } from "../../../packages/ingress/test/models.ts";
import { answerHarness } from "../../child.ts";
import { collectGarbage } from "../../garbage.ts";
import type { ProxyCalls } from "../calls.ts";

/** As a service behind a load balancer has it that serves WebSockets: GKE's 30 seconds would cut them. */
const TIMEOUT_SEC = 86_400;

// One load balancer with one service of one pod, and nobody who listens to its events.
const ingress = new Ingress();

answerHarness<ProxyCalls>({
  serve: async ({ podPort }) => {
    ingress.apply(modelOf({ type: "NONE" }, { timeoutSec: TIMEOUT_SEC }));
    ingress.setEndpoints(SERVICE, [{ address: "127.0.0.1", port: podPort, pod: "pod-1", healthy: true }]);
    return (await ingress.listen({ loadBalancer: LOAD_BALANCER, port: 0 })).port;
  },
  collectGarbage: async () => {
    await collectGarbage();
  },
});
