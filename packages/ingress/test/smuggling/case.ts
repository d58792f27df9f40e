/** What an attacker sends over one connection, and what may come of it. */
export interface RequestCase {
  /** What it tries. */
  readonly name: string;
  /** One character a byte. */
  readonly sent: string;
  /** The requests that reach the pod whole, as `method target body`; none if absent. */
  readonly reach?: readonly string[];
  /** What the client is told, behind the answers to those that got through, before its connection is closed. */
  readonly refused?: 400 | 417 | 431 | 501 | 505;
  /** The last request that reaches the pod is by its own word the last one. */
  readonly closes?: true;
  /** What the pod's bytes must match. */
  readonly has?: RegExp;
  /** What the pod's bytes must not match. */
  readonly lacks?: RegExp;
}

/** What a pod answers to one GET before it closes its connection, and what may come of it. */
export interface ResponseCase {
  readonly name: string;
  readonly sent: string;
  /** The client's bytes; absent: 502. */
  readonly becomes?: RegExp;
  readonly lacks?: RegExp;
}

/** A request for `/` with these lines behind `Host`, and these bytes behind the head. */
export function post(lines: readonly string[], body = ""): string {
  return `POST / HTTP/1.1\r\nHost: x\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${body}`;
}

export function get(lines: readonly string[] = [], target = "/"): string {
  return `GET ${target} HTTP/1.1\r\nHost: x\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
}

/** The request that an attacker would have a pod see. */
export const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
