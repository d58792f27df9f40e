import { openEmbeddedBroker } from "@holdfast/broker";
import { createHoldfast } from "@holdfast/socketio";
import { serve } from "../serve.ts";

// A whole node in one process: the broker's memory is in the figure.
const holdfast = createHoldfast({ broker: openEmbeddedBroker(), node: "bench" });
await holdfast.ready;
await serve(holdfast.options);
