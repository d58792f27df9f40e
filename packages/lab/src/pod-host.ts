/**
 * The program between the lab and a pod's shell command. It leads the process group that the command runs in, so that
 * it can end all of it when the lab is gone, however the lab went: its end of the channel closes at that moment.
 */
import { type ChildProcess, spawn } from "node:child_process";

/** What the lab sends, once. */
export interface PodHostStart {
  readonly command: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Milliseconds between SIGTERM and SIGKILL when the lab is gone. */
  readonly graceMs: number;
}

/** What it answers: the command's process, then how that ended. */
export type PodHostReport =
  | { readonly type: "started"; readonly pid: number }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "exited"; readonly code: number | null; readonly signal: NodeJS.Signals | null };

let graceMs = 0;

// The whole group is sent SIGTERM; this process stays until the command is done.
process.on("SIGTERM", () => {});
process.on("SIGINT", () => {});
process.once("disconnect", () => {
  signalGroup("SIGTERM");
  setTimeout(endGroup, graceMs);
});
process.once("message", (message) => {
  const start = message as PodHostStart;
  graceMs = start.graceMs;
  report(run(start));
});

function run({ command, cwd, env }: PodHostStart): ChildProcess {
  return spawn(command, { cwd, env, shell: true, stdio: ["ignore", "inherit", "inherit"] });
}

function report(child: ChildProcess): void {
  child.once("spawn", () => tell({ type: "started", pid: child.pid ?? 0 }));
  child.once("error", (error) => tell({ type: "failed", message: error.message }, endGroup));
  child.once("exit", (code, signal) => tell({ type: "exited", code, signal }, endGroup));
}

function tell(message: PodHostReport, then: () => void = () => {}): void {
  if (process.connected) process.send?.(message, () => then());
  else then();
}

/** Ends what the command left behind, and this process with it: it is of the same group. */
function endGroup(): void {
  signalGroup("SIGKILL");
}

function signalGroup(signal: NodeJS.Signals): void {
  process.kill(-process.pid, signal);
}
