import { describe, expect, test } from "vitest";
import { passRequests, passResponses } from "../wire/codec-relay.ts";
import type { ResponseCase } from "./case.ts";
import { FAMILIES } from "./families.ts";
import { responses } from "./responses.ts";

/** At once, and byte by byte. */
function waysToArrive(sent: string): Buffer[][] {
  const bytes = Buffer.from(sent, "latin1");
  return [[bytes], Array.from(bytes, (byte) => Buffer.from([byte]))];
}

describe.each(FAMILIES)("what a client tries with %s", (_family, cases) => {
  test.each(cases)("$name", ({ sent, reach = [], refused, has, lacks }) => {
    for (const arriving of waysToArrive(sent)) {
      const passage = passRequests(arriving);
      const whole = passage.messages.filter(({ complete }) => complete);
      const passed = passage.passed.toString("latin1");
      expect(
        whole.map(({ head, body }) => `${head.method} ${head.target} ${body.toString("latin1")}`),
      ).toEqual(reach);
      expect(passage.refused?.status).toBe(refused);
      if (has) expect(passed).toMatch(has);
      if (lacks) expect(passed).not.toMatch(lacks);
    }
  });
});

describe("what a pod tries with its answer", () => {
  test.each(responses)("$name", ({ sent, becomes, lacks }: ResponseCase) => {
    for (const arriving of waysToArrive(sent)) {
      const passage = passResponses(arriving, [{ method: "GET", minor: 1, upgrade: false }], true);
      const passed = passage.passed.toString("latin1");
      if (becomes) expect(passed).toMatch(becomes);
      else expect(passage.refused?.status).toBe(502);
      if (lacks) expect(passed).not.toMatch(lacks);
    }
  });
});
