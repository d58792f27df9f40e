/** A lab in a process of its own, to be killed. Writes the process ids of its pods: Node programs and a shell command. */
import { startLab } from "../src/lab.ts";
import { deployment } from "./objects.ts";

const up = Promise.withResolvers<void>();
const lab = await startLab({
  objects: [
    deployment("web", { replicas: 2, container: { ports: [{ containerPort: 9376 }] } }),
    deployment("stubborn", { container: { image: "stubborn" } }),
  ],
  images: { stubborn: "trap '' TERM; echo up; while :; do sleep 0.1; done" },
  graceMs: 300,
  onEvent: (event) => {
    if (event.type === "log" && event.line === "up") up.resolve();
  },
});
await up.promise;
console.log(JSON.stringify(lab.pods().map(({ pid }) => pid)));
