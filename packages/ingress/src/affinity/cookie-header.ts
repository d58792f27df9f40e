/** Cookies of one name that are looked at: a browser sends one for each path and domain that fits. */
const MAX_OF_ONE_NAME = 8;

/**
 * Reads the cookies of one name from a `Cookie` header (RFC 6265 §4.2.1), in its order, until one is understood. The
 * header is a client's, so it may hold anything; what is no cookie is passed over.
 *
 * @param read given a value without the blanks around it; undefined when it means nothing
 */
export function readCookie<T>(
  header: string | undefined,
  name: string,
  read: (value: string) => T | undefined,
): T | undefined {
  if (header === undefined) return undefined;
  let seen = 0;
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + 1)) {
    const value = at + name.length + 1;
    if (header[value - 1] !== "=" || !beginsCookie(header, at)) continue;
    const end = header.indexOf(";", value);
    const found = read(header.slice(value, end === -1 ? undefined : end).trim());
    if (found !== undefined) return found;
    if (++seen === MAX_OF_ONE_NAME) return undefined;
  }
  return undefined;
}

/** Whether only blanks stand between this place and the `;` before it, or the header's start. */
function beginsCookie(header: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && header[before] === " ") before--;
  return before < 0 || header[before] === ";";
}
