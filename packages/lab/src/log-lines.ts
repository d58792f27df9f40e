import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** Characters of one line; a longer one is handed on in pieces, so that a pod without line ends can't fill memory. */
export const MAX_LINE = 8192;

/** Calls back with each line of a stream of text, and with an unfinished last one when the stream ends. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  const take = (text: string): void => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) inPieces(line.endsWith("\r") ? line.slice(0, -1) : line, onLine);
    while (rest.length > MAX_LINE) {
      onLine(rest.slice(0, MAX_LINE));
      rest = rest.slice(MAX_LINE);
    }
  };
  stream.on("data", (chunk: Buffer) => take(decoder.write(chunk)));
  stream.on("end", () => {
    take(decoder.end());
    if (rest !== "") onLine(rest);
  });
  // A pod that is killed may take its end of the pipe down with an error; its exit is reported elsewhere.
  stream.on("error", () => {});
}

function inPieces(line: string, onLine: (line: string) => void): void {
  for (let at = 0; at === 0 || at < line.length; at += MAX_LINE) onLine(line.slice(at, at + MAX_LINE));
}
