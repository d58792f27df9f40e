import { randomBytes } from "node:crypto";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { BuiltInImage, LabOptions } from "@holdfast/lab";
import { Command } from "commander";
import { complaintOf } from "../complaint.ts";
import { EXIT } from "../errors.ts";
import { addImageFlag, readPort } from "../flags.ts";
import { jsonReport } from "../lab-json.ts";
import type { LabReport } from "../lab-report.ts";
import { readStdin } from "../stdin.ts";
import { stopped, stopSignal } from "../stop-signal.ts";
import { styleFor } from "../style.ts";

interface LabFlags {
  readonly host: string;
  readonly port: number;
  readonly image?: Readonly<Record<string, string>>;
  readonly mend?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export function labCommand(onExit: (code: number) => void): Command {
  return new Command("lab")
    .description(
      "Run Kubernetes manifests on this machine: the ingress, every pod as a process, and a broker.",
    )
    .argument("[path...]", "manifests: files, folders, or - for standard input")
    .option("--host <address>", "the address that the ingress listens on", "127.0.0.1")
    .option(
      "--port <port>",
      "the first Ingress's port, the next one has the next; 0: any free",
      readPort,
      8080,
    )
    .option(
      "--image <name=command>",
      "how to run an image, with or without its tag (repeatable)",
      addImageFlag,
    )
    .option("--mend", "mend in memory what has only one sensible reading, and say what")
    .option("--json", "tell everything as JSON, one object a line")
    .option("--verbose", "tell of every request and of every pod's start too")
    .addHelpText(
      "after",
      `
Examples:
  holdfast lab examples/chat
  holdfast lab k8s/ --image registry.example.com/chat='node server.js'
  kubectl get deploy,svc,ing,backendconfig -o yaml | holdfast lab - --mend`,
    )
    .action(async (paths: string[], flags: LabFlags, command: Command) => {
      if (paths.length === 0) command.help({ error: true });
      onExit(await runLab(paths, flags));
    });
}

async function runLab(paths: readonly string[], flags: LabFlags): Promise<number> {
  const begun = performance.now();
  const signal = stopSignal();
  const report = await reportFor(flags);
  const { readManifests } = await import("@holdfast/kubernetes");
  const { mend } = await import("@holdfast/routing");
  const stdin = paths.includes("-") ? await readStdin(signal) : "";
  if (stdin === undefined) return EXIT.INTERRUPTED;
  const read = await readManifests(paths, { stdin, mend: flags.mend === true });
  const mended = flags.mend ? mend(read.objects) : { objects: read.objects, mends: [] };
  for (const one of [...read.mends, ...mended.mends]) report.mended(one);
  for (const object of read.passedOver) report.passedOver(object);
  for (const problem of read.problems) report.complaint({ severity: "error", ...problem });
  if (read.problems.some(({ code }) => code === "PATH_NOT_FOUND")) return EXIT.MISUSE;
  if (read.problems.length > 0) return EXIT.NO;
  return serve(
    { objects: mended.objects, host: flags.host, port: flags.port, images: flags.image ?? {} },
    begun,
    report,
    signal,
  );
}

async function serve(
  options: LabOptions,
  begun: number,
  report: LabReport,
  signal: AbortSignal,
): Promise<number> {
  const { startLab, LabError } = await import("@holdfast/lab");
  const broker = await openLabBroker();
  try {
    const lab = await startLab({
      ...options,
      builtIn: BUILT_IN,
      podEnv: { HOLDFAST_BROKER: broker.url, HOLDFAST_BROKER_TOKEN: broker.token },
      signal,
      onEvent: (event) => report.event(event),
    });
    try {
      report.ready({ lab, ms: performance.now() - begun, brokerUrl: broker.url });
      await stopped(signal);
      report.closing();
    } finally {
      await lab.close();
    }
    return EXIT.OK;
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    if (error.code === "LAB_CLOSED") return EXIT.OK;
    for (const finding of error.findings) report.complaint(finding);
    if (error.findings.length === 0) report.complaint(complaintOf(error));
    return EXIT.NO;
  } finally {
    await broker.close();
  }
}

/** The images of this repository are this very command. */
const BUILT_IN: Readonly<Record<string, BuiltInImage>> = {
  "holdfast/server": ownCommand("server"),
  "holdfast/api": ownCommand("api"),
  "holdfast/broker": { type: "hosted", standIn: "the lab's own broker" },
};

function ownCommand(name: string): BuiltInImage {
  const main = new URL(`../main${extname(import.meta.url)}`, import.meta.url);
  return { type: "node", argv: [fileURLToPath(main), name] };
}

interface LabBroker {
  readonly url: string;
  readonly token: string;
  close(): Promise<void>;
}

/** A broker in this process's memory, for every pod of the lab and nobody else: its token is made anew each time. */
async function openLabBroker(): Promise<LabBroker> {
  const { openEmbeddedBroker, serveBroker } = await import("@holdfast/broker");
  const token = randomBytes(24).toString("base64url");
  const broker = openEmbeddedBroker();
  const served = await serveBroker(broker, { host: "127.0.0.1", port: 0, token });
  return {
    url: `holdfast://127.0.0.1:${served.port}`,
    token,
    close: async () => {
      await served.close();
      await broker.close();
    },
  };
}

async function reportFor({ json = false, verbose = false }: LabFlags): Promise<LabReport> {
  const out = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  if (json) return jsonReport(out, verbose);
  // It writes what the ingress tells, with the ingress' own words: the other commands start without either.
  const { textReport } = await import("../lab-text.ts");
  return textReport(
    {
      out,
      err: (line) => process.stderr.write(`${line}\n`),
      outStyle: styleFor(process.stdout),
      errStyle: styleFor(process.stderr),
    },
    verbose,
  );
}
