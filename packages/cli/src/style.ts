import type { WriteStream } from "node:tty";
import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];

/** Text in a colour or weight, where there is a terminal that shows it. */
export type Style = (format: Format, text: string) => string;

/** Plain text unless the stream is a terminal; `NO_COLOR` and `FORCE_COLOR` are respected. */
export function styleFor(stream: NodeJS.WriteStream | WriteStream): Style {
  return (format, text) => (text === "" ? "" : styleText(format, text, { stream }));
}
