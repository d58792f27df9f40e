import { expect, it } from "vitest";
import { CallBatches } from "./call-batches.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Calls that are under way until they are answered. */
function calls(batches: CallBatches) {
  const open: PromiseWithResolvers<void>[] = [];
  let made = 0;
  const make = () => {
    made++;
    const answer = Promise.withResolvers<void>();
    open.push(answer);
    return answer.promise;
  };
  return {
    run: (count: number) => Array.from({ length: count }, () => batches.run(make)),
    answer: (count = open.length) => {
      for (const { resolve } of open.splice(0, count)) resolve();
    },
    made: () => made,
  };
}

it("makes those of one turn at once, and what comes while they are under way together after them", async () => {
  const { run, answer, made } = calls(new CallBatches());
  const first = run(2);
  expect(made()).toBe(2);
  await turn();
  const second = run(3);
  await turn();
  expect(made()).toBe(2);
  answer();
  await Promise.all(first);
  await turn();
  expect(made()).toBe(5);
  answer();
  await Promise.all(second);
});

it("is held up by no call that takes long, and by none that fails", async () => {
  const batches = new CallBatches();
  const { run, answer, made } = calls(batches);
  const long = run(1);
  await turn();
  const failed = batches.run(() => Promise.reject(new Error("away")));
  await expect(failed).rejects.toThrow("away");
  const others = run(2);
  await expect.poll(made).toBe(3);
  answer();
  await Promise.all([...long, ...others]);
});

it("has a bounded number under way, also of one turn", async () => {
  const { run, answer, made } = calls(new CallBatches());
  const all = run(1_000);
  await turn();
  expect(made()).toBe(256);
  answer(10);
  await turn();
  await expect.poll(made).toBe(266);
  while (made() < 1_000) {
    answer();
    await turn();
  }
  answer();
  await Promise.all(all);
});
