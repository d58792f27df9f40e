// The table alone: the servers themselves are loaded when they run.
import { describeVariables, type Role } from "@holdfast/server/variables";

const WIDTH = 79;
const INDENT = "      ";

/** The environment variables of a role, for its command's help. */
export function variablesHelp(role: Role): string {
  const entries = describeVariables(role).map(({ name, default: text, about }) => {
    return `  ${name}${text === undefined ? "" : ` (default: ${text})`}\n${wrapped(about.replaceAll("`", ""))}`;
  });
  return `\nEnvironment:\n${entries.join("\n")}`;
}

function wrapped(text: string): string {
  const lines: string[] = [];
  let line = INDENT;
  for (const word of text.split(" ")) {
    if (line.length + word.length > WIDTH && line !== INDENT) {
      lines.push(line.trimEnd());
      line = INDENT;
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()].join("\n");
}
