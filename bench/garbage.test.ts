import { expect, it } from "vitest";
import { collectGarbage } from "./garbage.ts";

it("collects what nobody holds, and nothing else", async () => {
  const held = { name: "held" };
  const kept = new WeakRef(held);
  let dropped: WeakRef<object> | undefined;
  (() => {
    dropped = new WeakRef({ name: "dropped" });
  })();
  // A weak reference holds its object until the turn that made it is over.
  await new Promise(setImmediate);
  await collectGarbage();
  expect(dropped?.deref()).toBeUndefined();
  expect(kept.deref()).toBe(held);
});
