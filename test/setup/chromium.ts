import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Where the browser tests' Chromium is, or undefined. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const names = ["chromium", "chromium-browser", "google-chrome"];
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isExecutable);
}

/** Runs once before the system tests: takes Chromium from the path, or from Debian when root, or says what to do. */
export default function setup(): void {
  if (findChromium()) return;
  if (process.getuid?.() === 0 && isExecutable("/usr/bin/apt-get")) {
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const apt = (...args: string[]) =>
      spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env: environment }).status === 0;
    console.log("Installing Chromium from Debian for the browser tests.");
    if (apt("update") && apt("install", "-y", "--no-install-recommends", "chromium") && findChromium())
      return;
  }
  throw new Error(
    "The browser tests need Chromium: install it (Debian: apt-get install chromium) and run again.",
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
