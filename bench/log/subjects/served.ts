import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { answerHarness } from "../../child.ts";
import type { BrokerCalls } from "../calls.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const { url } = await serveBroker(openEmbeddedBroker({ path: join(folder, "log.db") }));

answerHarness<BrokerCalls>({ url: () => url });
