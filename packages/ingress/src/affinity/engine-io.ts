/** What a query says of Engine.IO (protocol 3 and 4); undefined for any other request. */
export interface EngineIoQuery {
  readonly transport: string;
  /** Absent: the request begins a session. */
  readonly sid?: string;
}

/** Characters of a session id that is followed; Engine.IO's own have 20. */
export const MAX_SID_LENGTH = 128;
/** Bytes of a handshake's answer in which the session id is looked for. */
const MAX_HANDSHAKE_BYTES = 1_024;

/** Where a query has a parameter twice the first one counts; a session id that is too long to be one is none. */
export function readEngineIoQuery(query: string): EngineIoQuery | undefined {
  const transport = query.includes("EIO=") && parameter(query, "transport");
  if (!transport || parameter(query, "EIO") === undefined) return undefined;
  const sid = parameter(query, "sid");
  return sid !== undefined && sid !== "" && sid.length <= MAX_SID_LENGTH ? { transport, sid } : { transport };
}

function parameter(query: string, name: string): string | undefined {
  for (let at = query.indexOf(name); at !== -1; at = query.indexOf(name, at + 1)) {
    const value = at + name.length + 1;
    if (query[value - 1] !== "=" || (at > 0 && query[at - 1] !== "&")) continue;
    const end = query.indexOf("&", value);
    const text = query.slice(value, end === -1 ? undefined : end);
    if (!text.includes("%")) return text;
    try {
      return decodeURIComponent(text);
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/**
 * An open packet (type 0) at the start of a polling answer's body: as it is (EIO=4), with its length before it
 * (EIO=3), or as a JSONP call with the whole as a string.
 */
const OPEN = /^(?:___eio\[\d{1,9}\]\(")?(?:\d{1,9}:)?0\{[^}]*?\\?"sid\\?"\s*:\s*\\?"([^"\\]{1,128})\\?"/;

/** The session id that a server gives in the answer to a polling handshake; undefined where the body is something else. */
export function readHandshake(body: Buffer): string | undefined {
  return OPEN.exec(body.toString("latin1", 0, MAX_HANDSHAKE_BYTES))?.[1];
}
