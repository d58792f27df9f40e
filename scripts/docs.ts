// Writes docs/configuration.md from the table that the servers read. `--check` writes nothing, and fails when the file
// is not what it would write.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeVariables, type Role } from "@holdfast/server/variables";

const file = join(import.meta.dirname, "../docs/configuration.md");

const ROLES: [role: Role, title: string][] = [
  ["server", "Socket server: `holdfast server`"],
  ["api", "Publish API: `holdfast api`"],
  ["broker", "Broker: `holdfast broker`"],
];

function section([role, title]: [Role, string]): string {
  const rows = describeVariables(role).map(
    ({ name, default: text, about }) =>
      `| \`${name}\` | ${text === undefined ? "–" : `\`${text}\``} | ${about} |`,
  );
  return `## ${title}\n\n| variable | default | what it does |\n|---|---|---|\n${rows.join("\n")}\n`;
}

const text = `# Configuration

The servers read environment variables. They are checked at start: a value out of range, or a \`HOLDFAST_\` name that doesn't
exist, ends the process with exit code 2 and says which.

<!-- Written by \`npm run docs\` from packages/server/src/variables.ts. -->

${ROLES.map(section).join("\n")}`;

if (!process.argv.includes("--check")) {
  writeFileSync(file, text);
} else if (readFileSync(file, "utf8") !== text) {
  console.error("docs/configuration.md is out of date: npm run docs");
  process.exitCode = 1;
}
