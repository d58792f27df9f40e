import { join } from "node:path";
import { openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { answerHarness } from "../child.ts";
import type { BrokerCalls } from "./calls.ts";

answerHarness<BrokerCalls>({
  serve: async ({ folder }) => {
    const { url } = await serveBroker(openEmbeddedBroker({ path: join(folder, "log.db") }));
    return url;
  },
});
