import { addAbortSignal } from "node:stream";
import { CliError } from "./errors.ts";

/** As many bytes as all manifests together may have. */
const MAX_BYTES = 64 * 1024 * 1024;

/** All of standard input as text; undefined when the signal came first. @throws CliError `STDIN_TOO_LARGE` */
export async function readStdin(signal: AbortSignal): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of addAbortSignal(signal, process.stdin)) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_BYTES)
        throw new CliError("STDIN_TOO_LARGE", `standard input is over ${MAX_BYTES} bytes`);
    }
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
  return Buffer.concat(chunks).toString("utf8");
}
