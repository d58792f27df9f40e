import { CliError } from "./errors.ts";

/** As many bytes as all manifests together may have. */
const MAX_BYTES = 64 * 1024 * 1024;

/** All of standard input as text. @throws CliError `STDIN_TOO_LARGE` */
export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new CliError("STDIN_TOO_LARGE", `standard input is over ${MAX_BYTES} bytes`);
  }
  return Buffer.concat(chunks).toString("utf8");
}
