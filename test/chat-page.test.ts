import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LabProcess } from "../faults/lab-process.ts";
import { findChromium } from "./setup/chromium.ts";

/** A browser on a busy machine takes its time. */
const SOON = { timeout: 10_000 };

let lab: LabProcess;
let browser: Browser;

beforeAll(async () => {
  lab = await LabProcess.start(["examples/chat"]);
  browser = await chromium.launch({
    executablePath: `${findChromium()}`,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--no-first-run",
    ],
  });
});

afterAll(async () => {
  await browser?.close();
  await lab?.[Symbol.asyncDispose]();
});

async function openChat(room: string) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(`${lab.url}/#${room}`);
  await page.locator('#state[data-state="connected"]').waitFor();
  return {
    page,
    problems,
    texts: () => page.locator("#messages .text").allTextContents(),
    offsets: () => page.locator("#messages .offset").allTextContents(),
    say: async (text: string) => {
      await page.fill("#author", "ada");
      await page.fill("#text", text);
      await page.click("button");
    },
    close: () => context.close(),
  };
}

async function publish(room: string, text: string): Promise<void> {
  const response = await fetch(`${lab.url}/api/v1/channels/${room}/entries`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ event: "message", data: { author: "test", text } }),
  });
  expect(response.status).toBe(201);
}

test("a tab shows its pod, and two tabs see the same messages in the same order", async () => {
  const [one, two] = await Promise.all([openChat("lobby"), openChat("lobby")]);
  const pods = lab.pods("chat").map((pod) => pod.name);
  expect(pods).toContain(await one.page.locator("#pod strong").textContent());
  await one.say("hello");
  await expect.poll(two.texts, SOON).toEqual(["hello"]);
  await two.say("hello back");
  await expect.poll(one.texts, SOON).toEqual(["hello", "hello back"]);
  await expect.poll(two.texts, SOON).toEqual(["hello", "hello back"]);
  expect(await one.offsets()).toEqual(["#1", "#2"]);
  expect([...one.problems, ...two.problems]).toEqual([]);
  await Promise.all([one.close(), two.close()]);
});

test("a tab whose pod is killed comes back and shows what it missed", async () => {
  const tab = await openChat("survivors");
  await publish("survivors", "before");
  await expect.poll(tab.texts, SOON).toEqual(["before"]);

  const pod = `${await tab.page.locator("#pod strong").textContent()}`;
  await lab.kill(pod);
  await tab.page.locator('#state:not([data-state="connected"])').waitFor();
  const missed = ["missed 1", "missed 2", "missed 3"];
  for (const text of missed) await publish("survivors", text);

  await expect.poll(tab.texts, { timeout: 20_000 }).toEqual(["before", ...missed]);
  await tab.page.locator("#messages .note", { hasText: "3 missed messages recovered" }).waitFor();
  expect(await tab.offsets()).toEqual(["#1", "#2", "#3", "#4"]);
  await publish("survivors", "after");
  await expect.poll(tab.texts, SOON).toEqual(["before", ...missed, "after"]);
  expect(tab.problems).toEqual([]);
  await tab.close();
});

test("a message that contains markup is shown as text", async () => {
  const tab = await openChat("markup");
  await publish("markup", "<img src=x onerror=alert(1)>");
  await expect.poll(tab.texts, SOON).toEqual(["<img src=x onerror=alert(1)>"]);
  expect(await tab.page.locator("#messages img").count()).toBe(0);
  await tab.close();
});
