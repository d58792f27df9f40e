import { readFile } from "node:fs/promises";
import type { CookieKey } from "@holdfast/ingress";
import { CliError } from "./errors.ts";

const MIN_SECRET_BYTES = 32;

/**
 * Reads the secrets of pinned cookies: one key a line, its id and its secret with a blank between. The first line's key
 * signs, all verify. Empty lines and those that begin with `#` don't count.
 *
 * @throws CliError `FILE_INVALID`, with file and line, and never with a secret
 */
export async function readCookieKeyFile(file: string): Promise<CookieKey[]> {
  const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new CliError("FILE_INVALID", `${file} can't be read (${cause.code})`, {
      fix: "name the file of the cookie keys with --cookie-key-file, and let this user read it",
    });
  });
  const keys: CookieKey[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const [id = "", secret = "", ...rest] = trimmed.split(/\s+/);
    if (
      rest.length > 0 ||
      !/^[A-Za-z0-9_-]{1,16}$/.test(id) ||
      Buffer.byteLength(secret) < MIN_SECRET_BYTES
    ) {
      throw new CliError("FILE_INVALID", `${file}:${index + 1}: not an id and a secret`, {
        fix: `write an id of 1 to 16 letters and digits, a blank, and a secret of ${MIN_SECRET_BYTES} characters or more, such as: k1 $(openssl rand -hex 32)`,
      });
    }
    keys.push({ id, secret });
  }
  if (keys.length === 0) {
    throw new CliError("FILE_INVALID", `${file} has no key`, {
      fix: 'make one: echo "k1 $(openssl rand -hex 32)"',
    });
  }
  return keys;
}
