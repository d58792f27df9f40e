import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { type Command, CommandProcess } from "./command-process.ts";
import { findFreePort } from "./free-port.ts";
import { findPinning } from "./pinning.ts";

const LISTENER = fileURLToPath(new URL("./testing/listener.ts", import.meta.url));
const pinning = findPinning();
const started: CommandProcess[] = [];

async function commandOf(...settings: string[]): Promise<Command> {
  const port = await findFreePort();
  const args = [LISTENER, String(port), ...settings];
  return { file: process.execPath, args, files: { "settings.txt": "in {folder}" }, port };
}

function ask({ port }: Command): Promise<unknown> {
  return json(connect(port, "127.0.0.1"));
}

async function start(command: Command): Promise<CommandProcess> {
  const process = await CommandProcess.start(command, "server", pinning);
  started.push(process);
  return process;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((process) => process.stop()));
});

describe("CommandProcess", () => {
  it("is ready once the command listens, and reads the costs of the command itself", async () => {
    const command = await commandOf("none");
    const listener = await start(command);
    expect(await ask(command)).toEqual({ pid: listener.pid, settings: "none" });
    expect(await listener.cpuTime()).toBeGreaterThan(1000);
    expect(await listener.memory()).toBeGreaterThan(1024 * 1024);
  });

  it("gives the command its files, and leaves neither them nor the process behind", async () => {
    const command = await commandOf("{folder}/settings.txt");
    const listener = await start(command);
    const { settings } = (await ask(command)) as { settings: string };
    expect(`${readFileSync(settings, "utf8")}/settings.txt`).toBe(`in ${settings}`);
    await listener.stop();
    expect(() => process.kill(listener.pid, 0)).toThrow("ESRCH");
    expect(existsSync(settings)).toBe(false);
    await listener.stop();
  });

  it("fails to start a command that ends, or that there isn't", async () => {
    await expect(start(await commandOf())).rejects.toThrow(/ended \(exit code 1\)/);
    await expect(start({ ...(await commandOf()), file: "no-such-command" })).rejects.toThrow("ENOENT");
  });

  it("tells when the command ends unasked", async () => {
    const listener = await start(await commandOf("none"));
    process.kill(listener.pid, "SIGKILL");
    await expect(listener.failure).rejects.toThrow(/ended/);
  });
});
