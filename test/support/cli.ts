import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const root = join(import.meta.dirname, "../..");

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a `holdfast` command to its end, as a user's shell does. */
export async function holdfast(args: readonly string[], input = ""): Promise<Outcome> {
  const child = spawn(process.execPath, [join(root, "packages/cli/src/main.ts"), ...args], { cwd: root });
  child.stdin.end(input);
  const code = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stdout, stderr };
}
