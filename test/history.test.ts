import { expect, test } from "vitest";
import { History } from "../faults/history.ts";

function historyOf(deliveries: [offset: number, id: string][]): History {
  const history = new History();
  history.accepted("room", 2, "b");
  history.accepted("room", 1, "a");
  history.accepted("room", 3, "c");
  history.subscribed("client", "room");
  for (const [offset, id] of deliveries) history.delivered("client", "room", { offset, id });
  return history;
}

test("finds nothing where each subscriber has every message once and in order", () => {
  expect(historyOf([[1, "a"], [2, "b"], [3, "c"]]).violations()).toEqual([]); // biome-ignore format: one line reads better
});

test.each<[string, [number, string][]]>([
  [
    "a lost message",
    [
      [1, "a"],
      [3, "c"],
    ],
  ],
  [
    "a message lost at the end",
    [
      [1, "a"],
      [2, "b"],
    ],
  ],
  [
    "a message delivered twice",
    [
      [1, "a"],
      [2, "b"],
      [2, "b"],
      [3, "c"],
    ],
  ],
  [
    "messages in another order",
    [
      [2, "b"],
      [1, "a"],
      [3, "c"],
    ],
  ],
  [
    "another message at the same offset",
    [
      [1, "a"],
      [2, "x"],
      [3, "c"],
    ],
  ],
  [
    "a message that nobody published",
    [
      [1, "a"],
      [2, "b"],
      [3, "c"],
      [4, "d"],
    ],
  ],
  ["a subscriber that got nothing", []],
])("finds %s", (_title, deliveries) => {
  expect(historyOf(deliveries).violations()).toHaveLength(1);
});

test("finds a hole in what was accepted", () => {
  const history = new History();
  history.accepted("room", 1, "a");
  history.accepted("room", 3, "c");
  expect(history.violations()).toEqual(["room: nothing was accepted at offset 2 of 2"]);
});
