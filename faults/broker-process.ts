// The served broker as a process of its own, for faults/broker.ts. Its first argument is a JSON of its options.
import { openEmbeddedBroker, serveBroker } from "@holdfast/broker";

const { path, maxFileBytes, token } = JSON.parse(process.argv[2] ?? "{}");
const broker = openEmbeddedBroker({ path, ...(maxFileBytes && { maxFileBytes }) });
const { port } = await serveBroker(broker, { token });
process.send?.({ port });
// Whoever started it is gone, in whatever way.
process.on("disconnect", () => process.exit());
