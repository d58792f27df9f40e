import { readFileSync } from "node:fs";
import { join } from "node:path";
import type * as Client from "@holdfast/client";
import * as Server from "@holdfast/socketio";
import { expect, test } from "vitest";

// The two ends have the wire's types each for itself, so that neither needs the other to be installed.
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
const types: Same<Client.SubscribeAnswer, Server.SubscribeAnswer> &
  Same<Client.UnsubscribeAnswer, Server.UnsubscribeAnswer> &
  Same<Client.WireError, Server.WireError> = true;

/** Every event name that the client's types know; the compiler refuses one that is missing or too many. */
const events: Record<keyof Client.ClientToServer | keyof Client.ServerToClient, true> = {
  "holdfast:subscribe": true,
  "holdfast:unsubscribe": true,
  "holdfast:welcome": true,
  "holdfast:entry": true,
  "holdfast:volatile": true,
  "holdfast:reset": true,
  "holdfast:ended": true,
};

test("client, server and docs/protocol.md have the same events and answers", () => {
  expect(types).toBe(true);
  expect(Object.values(Server.EVENTS).sort()).toEqual(Object.keys(events).sort());
  const page = readFileSync(join(import.meta.dirname, "../docs/protocol.md"), "utf8");
  const written = new Set([...page.matchAll(/`(holdfast:[a-z]+)`/g)].map(([, name]) => name));
  for (const name of Object.keys(events)) expect(written).toContain(name);
});

test("docs/protocol.md lists exactly the errors of a subscription", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/protocol.md"), "utf8");
  const [section = ""] = page.split("## Client to server")[1]?.split("\n## ") ?? [];
  const rows = [...section.matchAll(/^\| `([A-Z_]+)` \| (yes|no) \|/gm)].map(([, code, retryable]) => [
    code,
    retryable === "yes",
  ]);
  const table = Object.entries(Server.SUBSCRIPTION_ERRORS).map(([code, { retryable }]) => [code, retryable]);
  expect(rows.sort()).toEqual(table.sort());
});
