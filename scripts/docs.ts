// Writes docs/configuration.md from the table that the servers read, the tables of docs/findings.md from those in the
// code, and the annotations' table in docs/manifests.md. `--check` writes nothing, and fails when a file is not what it would write.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROBLEMS } from "@holdfast/kubernetes";
import { LAB_FINDINGS } from "@holdfast/lab";
import { FINDINGS, HOLDFAST_ANNOTATIONS } from "@holdfast/routing";
import { describeVariables, type Role } from "@holdfast/server/variables";

const docs = join(import.meta.dirname, "../docs");

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

const configuration = `# Configuration

The servers read environment variables. They are checked at start: a value out of range, or a \`HOLDFAST_\` name that doesn't
exist, ends the process with exit code 2 and says which.

<!-- Written by \`npm run docs\` from packages/server/src/variables.ts. -->

${ROLES.map(section).join("\n")}`;

interface Row {
  readonly severity?: string;
  readonly meaning: string;
  readonly fix: string;
}

function table(rows: Readonly<Record<string, Row>>): string {
  const lines = Object.entries(rows).map(
    ([code, { severity = "error", meaning, fix }]) => `| \`${code}\` | ${severity} | ${meaning} | ${fix} |`,
  );
  return ["| code | severity | meaning | fix |", "|---|---|---|---|", ...lines, ""].join("\n");
}

const findings = `# Findings and problems

What Holdfast says about manifests. Each has a code that stays, the place (file, line, column), and a fix.

<!-- Written by \`npm run docs\` from the tables in packages/routing, packages/lab and packages/kubernetes. -->

## Findings

About objects that were read: what GKE would make of them (\`GKE-\`), and what Holdfast makes of its own annotations
(\`HF-\`). \`error\`: GKE refuses it and syncs nothing of the Ingress, so Holdfast doesn't serve that Ingress, or serves
it on as it was; its message is GKE's own. \`warning\`: it is served, and likely not as meant. \`info\`: worth knowing.
\`--mend\` mends GKE-N01 (of a ClusterIP Service whose annotation is there) and GKE-N02 in memory.

${table(FINDINGS)}
## Findings of the lab

What \`holdfast lab\` can't do as the manifests say. With an \`error\` nothing is started.

${table(LAB_FINDINGS)}
## Problems

Why a manifest, or a part of it, was not read. All are errors: nothing is run while there is one. All of them, of all
files, are shown at once. \`--mend\` mends \`YAML_TAB\` in memory where the meaning is beyond doubt.

${table(PROBLEMS)}`;

const annotations = [
  "| annotation | values | default | meaning |",
  "|---|---|---|---|",
  ...Object.entries(HOLDFAST_ANNOTATIONS).map(
    ([name, { values, default: byDefault, about }]) =>
      `| \`${name}\` | ${values} | ${byDefault} | ${about} |`,
  ),
  "",
].join("\n");
const manifests = readFileSync(join(docs, "manifests.md"), "utf8").replace(
  /(?<=<!-- annotations -->\n)[\s\S]*?(?=<!-- end -->)/,
  () => annotations,
);

const pages = [
  ["configuration.md", configuration],
  ["findings.md", findings],
  ["manifests.md", manifests],
] as const;
for (const [name, text] of pages) {
  const file = join(docs, name);
  if (!process.argv.includes("--check")) {
    writeFileSync(file, text);
  } else if (readFileSync(file, "utf8") !== text) {
    console.error(`docs/${name} is out of date: npm run docs`);
    process.exitCode = 1;
  }
}
