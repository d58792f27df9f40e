import { pino } from "pino";
import type { CommonConfig } from "./config.ts";

export type Log = pino.Logger;

/** JSON lines on standard output; each says which server wrote it. */
export function createLog(role: string, config: CommonConfig): Log {
  return pino({ level: config.logLevel, base: { role, node: config.node } });
}
