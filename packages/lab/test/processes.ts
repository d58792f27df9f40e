import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { whyNotBound } from "../src/port-probe.ts";

/** Whether a process is running. One that has ended and waits for its parent to take notice is not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    // No /proc on this system, or gone in between.
    return process.platform !== "linux";
  }
}

/** The process that leads a process's group. */
export function groupOf(pid: number): number {
  return Number(execFileSync("ps", ["-o", "pgid=", "-p", String(pid)], { encoding: "utf8" }));
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** The value of the GCLB cookie that was set, if any. */
  readonly cookie: string | undefined;
}

/** One request on a connection of its own. */
export function request(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        const cookie = /^GCLB=([^;]*)/.exec(response.headers["set-cookie"]?.join() ?? "")?.[1];
        resolve({ status: response.statusCode ?? 0, body, cookie });
      });
    }).on("error", reject);
  });
}

/** Free ports, below those that the system gives out by itself, so that nobody is given one meanwhile. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = randomInt(10_000, 14_000); ports.length < count; port++) {
    if ((await whyNotBound("127.0.0.1", port)) === undefined) ports.push(port);
  }
  return ports;
}
