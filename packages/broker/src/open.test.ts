import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { bytes, logOf } from "../test/feed.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { openBroker } from "./open.ts";
import { serveBroker } from "./serve.ts";

test("opens a broker in memory, in a file by path or by URL, and a served one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-open-"));
  const path = join(folder, "a b.db");
  const behind = openEmbeddedBroker();
  const served = await serveBroker(behind);
  for (const url of ["memory:", `file:${path}`, pathToFileURL(path).href, served.url]) {
    const broker = openBroker(url);
    await broker.publish("c", bytes(url));
    expect(await logOf(broker, "c")).toHaveLength(url.startsWith("file:///") ? 2 : 1);
    await broker.close();
  }
  await served.close();
  await behind.close();
  await rm(folder, { recursive: true });
});

test.each([
  "",
  "memory",
  "memory:x",
  "file:",
  "file://host/path",
  "redis://localhost",
  "holdfast://127.0.0.1:80",
  "holdfast://secret@127.0.0.1",
  "holdfast://secret@unix:relative",
  "holdfast://secret@127.0.0.1:0",
  "holdfast://secret@127.0.0.1:99999",
  "holdfast://secret@127.0.0.1:80/path",
  "holdfast://secret:more@127.0.0.1:80",
])("refuses %j, names the forms there are, and tells no secret", (url) => {
  const open = () => openBroker(url);
  expect(open).toThrow(expect.objectContaining({ code: "BROKER_URL_INVALID" }));
  expect(open).toThrow(/memory:.*file:PATH.*holdfast:\/\/TOKEN@HOST:PORT/);
  expect(open).not.toThrow(/secret/);
});
