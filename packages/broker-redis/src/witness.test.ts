import { expect, test } from "vitest";
import { Witness } from "./witness.ts";

const at = (epoch: string, offset: number, tag = "tag") => ({ epoch, offset, tag });

test("remembers the latest of each channel, whatever the order of the answers", () => {
  const witness = new Witness(10);
  witness.saw("a", at("00000001", 2));
  witness.saw("a", at("00000001", 1));
  witness.saw("b", at("00000002", 1));
  witness.saw("b", at("00000001", 9));
  expect(witness.doubt()).toEqual([
    ["a", at("00000001", 2)],
    ["b", at("00000002", 1)],
  ]);
});

test("forgets what has not been compared with a server for nothing that came after it", () => {
  const witness = new Witness(10);
  witness.saw("a", at("00000001", 5, "lost"));
  witness.doubt();
  // The server that was to be asked is gone, and has accepted another one first.
  witness.saw("a", at("00000001", 5, "other"));
  const doubted = witness.doubt();
  expect(doubted).toEqual([
    ["a", at("00000001", 5, "lost")],
    ["a", at("00000001", 5, "other")],
  ]);
  witness.compared(doubted);
  expect(witness.doubt()).toEqual([["a", at("00000001", 5, "other")]]);
});

test("is bounded", () => {
  const witness = new Witness(3);
  for (let n = 0; n < 100; n++) {
    witness.saw(`channel-${n}`, at("00000001", 1));
    expect(witness.doubt().length).toBeLessThanOrEqual(6);
  }
});
