import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A command and the Debian package that it is in. */
export interface DebianPackage {
  readonly command: string;
  readonly name: string;
  /** A file of it, of which to tell that it is there: for a package that has no command of its own. */
  readonly file?: string;
}

/** Asked by the packages' own scripts before they start a service; 101 forbids it (invoke-rc.d(8)). */
const SERVICE_POLICY = "/usr/sbin/policy-rc.d";

export interface InstallOptions {
  /** Told before anything is installed, for a person who waits. */
  readonly onProgress: (line: string) => void;
  /** The folders to look for the commands in. Default: the search path, and where Debian keeps servers. */
  readonly path?: readonly string[];
  /** Installs packages by name. Default: from Debian, when we are root there; undefined: nothing can be. */
  readonly install?: ((names: readonly string[]) => boolean) | undefined;
}

/**
 * Makes sure that these commands are there, by installing their packages where they aren't and that is possible. No
 * service of theirs is started.
 *
 * @throws Error that says what to install
 */
export function ensureInstalled(packages: readonly DebianPackage[], options: InstallOptions): void {
  const {
    onProgress,
    path = searchPath(),
    install = isDebianRoot() ? installFromDebian : undefined,
  } = options;
  const missing = packages.filter((one) => !isThere(one, path)).map(({ name }) => name);
  if (missing.length === 0) return;
  const list = missing.join(" ");
  if (install) {
    onProgress(`installing from Debian: ${list}`);
    if (install(missing) && packages.every((one) => isThere(one, path))) return;
  }
  throw new Error(`this bench needs ${list}: install it (Debian: apt-get install ${list}) and run again`);
}

function isDebianRoot(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/bin/apt-get");
}

function installFromDebian(names: readonly string[]): boolean {
  const ownPolicy = !existsSync(SERVICE_POLICY);
  if (ownPolicy) writeFileSync(SERVICE_POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    const packages = ["install", "-y", "--no-install-recommends", ...names];
    return apt(packages) || (apt(["update"]) && apt(packages));
  } finally {
    if (ownPolicy) rmSync(SERVICE_POLICY);
  }
}

function apt(args: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return spawnSync("apt-get", args, { stdio: ["ignore", "ignore", 2], env }).status === 0;
}

/** Debian keeps servers where only root looks for commands. */
function searchPath(): readonly string[] {
  return [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
}

function isThere({ command, file }: DebianPackage, path: readonly string[]): boolean {
  return isOnPath(command, path) && (file === undefined || existsSync(file));
}

function isOnPath(command: string, path: readonly string[]): boolean {
  return path.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
