import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as Ingress from "@holdfast/ingress";
import * as Server from "@holdfast/socketio";
import { expect, test } from "vitest";

test("socket servers and the ingress call a node by the same name, as docs/affinity.md has it", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/affinity.md"), "utf8");
  const examples = [...page.matchAll(/^\| `([a-z0-9-]+)` \| `([\w-]{11})` \|$/gm)];
  expect(examples.length).toBeGreaterThan(1);
  for (const [, pod = "", token] of examples) {
    expect(Server.nodeToken(pod)).toBe(token);
    expect(Ingress.nodeToken(pod)).toBe(token);
  }
  for (const pod of ["", "x".repeat(253), "web-ä"])
    expect(Server.nodeToken(pod)).toBe(Ingress.nodeToken(pod));
});
