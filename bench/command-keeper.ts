import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answerHarness } from "./child.ts";
import type { KeeperCalls } from "./command-process.ts";

// A server that isn't ours doesn't see the harness go, so it is the child of this process, which does.
const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
let child: ChildProcess | undefined;

/** The last of what it printed: of interest only when it ends unasked. */
let output = "";
const OUTPUT_CHARACTERS = 4000;

process.on("exit", () => {
  child?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

answerHarness<KeeperCalls>({
  run: async ({ file, args, environment = {}, files }) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), inFolder(text));
    child = spawn(file, args.map(inFolder), {
      stdio: ["ignore", "pipe", "pipe"],
      // Debian keeps servers where only root looks for commands.
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, HOME: folder, ...environment },
    });
    child.stdout?.on("data", keepOutput);
    child.stderr?.on("data", keepOutput);
    await once(child, "spawn");
    child.once("close", onUnexpectedEnd);
    return Number(child.pid);
  },
  stop: async () => {
    if (child && child.exitCode === null && child.signalCode === null) {
      child.off("close", onUnexpectedEnd);
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    rmSync(folder, { recursive: true, force: true });
  },
});

function keepOutput(chunk: Buffer): void {
  output = (output + chunk).slice(-OUTPUT_CHARACTERS);
}

/** The end of this process is what the harness sees. */
function onUnexpectedEnd(code: number | null, signal: string | null): void {
  process.stderr.write(`${output}\n${child?.spawnfile} ended (${signal ?? `exit code ${code}`})\n`);
  process.exit(1);
}

function inFolder(text: string): string {
  return text.replaceAll("{folder}", folder);
}
