import type { DataPlane, DataPlaneSettings, LogFormat } from "@holdfast/ingress";
import { Command, Option } from "commander";
import { complaintOf } from "../complaint.ts";
import { readCookieKeyFile } from "../cookie-key-file.ts";
import { EXIT, type ExitCode } from "../errors.ts";
import { readPort, readWhole } from "../flags.ts";
import type { IngressReport } from "../ingress-report.ts";
import { readStdin } from "../stdin.ts";
import { stopped, stopSignal } from "../stop-signal.ts";
import { styleFor } from "../style.ts";

interface IngressFlags {
  readonly manifests: readonly string[];
  readonly host: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly workers: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly proxyProtocol?: boolean;
  readonly trustedProxies?: string;
  readonly cookieKeyFile?: string;
  readonly decisions: "never" | "asked" | "always";
  readonly log: LogFormat;
  readonly grace: number;
  readonly json?: boolean;
}

export function ingressCommand(onExit: (code: number) => void): Command {
  return new Command("ingress")
    .description(
      "Run the balancer alone: it serves the Ingresses of manifests, and follows them as they change.",
    )
    .requiredOption("--manifests <path...>", "files, folders, or - for standard input; with EndpointSlices")
    .option("--host <address>", "the address to listen on, such as 0.0.0.0", "127.0.0.1")
    .option(
      "--http-port <port>",
      "the first Ingress's port, the next one has the next; 0: any free",
      readPort,
      8080,
    )
    .option("--https-port <port>", "the same for TLS, of Ingresses that have certificates", readPort, 8443)
    .option(
      "--workers <count>",
      "processes that share every address; 1: none besides this one",
      readWhole(1, 256),
      1,
    )
    .option("--admin-host <address>", "where /metrics, /healthz and /readyz are", "127.0.0.1")
    .option("--admin-port <port>", "their port; 0: any free", readPort, 9090)
    .option("--proxy-protocol", "every connection begins with a PROXY header, version 1 or 2")
    .option(
      "--trusted-proxies <ranges>",
      "proxies in front, with commas between, whose X-Forwarded-For and PROXY headers count",
    )
    .option(
      "--cookie-key-file <file>",
      "secrets of pinned cookies, an id and a secret a line; the first signs",
    )
    .addOption(
      new Option("--log <format>", "how requests are written to standard output")
        .choices(["text", "json", "none"])
        .default("text"),
    )
    .addOption(
      new Option("--decisions <when>", "whether answers say which pod they came from, and why")
        .choices(["never", "asked", "always"])
        .default("never"),
    )
    .option("--grace <seconds>", "time that open requests are given at the end", readWhole(0, 3600), 30)
    .option("--json", "tell everything besides the log as JSON too, one object a line, on standard output")
    .addHelpText(
      "after",
      `
SIGHUP reads the manifests again, as a change of their files does. SIGTERM lets open requests end first.

Examples:
  holdfast ingress --manifests k8s/
  holdfast ingress --manifests k8s/ --host 0.0.0.0 --http-port 80 --https-port 443 --workers 4 --log json
  kubectl get ing,svc,backendconfig,secret,endpointslice -o yaml | holdfast ingress --manifests -`,
    )
    .action(async (flags: IngressFlags) => onExit(await runIngress(flags)));
}

async function runIngress(flags: IngressFlags): Promise<ExitCode> {
  const begun = performance.now();
  const hangUps: (() => void)[] = [];
  const signal = stopSignal(() => {
    for (const reload of hangUps) reload();
  });
  const report = await reportFor(flags);
  const cookieKeys =
    flags.cookieKeyFile === undefined ? undefined : await readCookieKeyFile(flags.cookieKeyFile);
  const stdin = flags.manifests.includes("-") ? await readStdin(signal) : "";
  if (stdin === undefined) return EXIT.INTERRUPTED;
  const graceMs = flags.grace * 1000;
  const { proxyProtocol = false, decisions } = flags;
  const trustedProxies = flags.trustedProxies?.split(",").map((range) => range.trim()) ?? [];
  const settings: DataPlaneSettings = {
    ingress: { proxyProtocol, trustedProxies, decisions, ...(cookieKeys && { cookieKeys }) },
    log: flags.log,
  };

  const { AdminServer, metricsText } = await import("@holdfast/ingress");
  const { watchManifests } = await import("@holdfast/kubernetes");
  const { ManifestIngress } = await import("../manifest-ingress.ts");
  const plane = await openPlane(flags, settings, graceMs, report);
  const { manifests: paths, host, httpPort, httpsPort } = flags;
  const ingress = new ManifestIngress({ paths, stdin, host, httpPort, httpsPort, graceMs, plane, report });
  const admin = new AdminServer({
    host: flags.adminHost,
    port: flags.adminPort,
    metrics: async () => metricsText(await plane.metrics()),
    readiness: () => ingress.readiness(),
  });
  const reload = async () => {
    if ((await ingress.load()) !== EXIT.OK) report.kept();
  };
  const watch = await watchManifests(paths, { onChange: () => void reload() });
  try {
    const adminAddress = await admin.listen();
    const code = await ingress.load();
    if (code !== EXIT.OK) return code;
    hangUps.push(() => void reload());
    report.ready({ ms: performance.now() - begun, workers: flags.workers, admin: adminAddress });
    await stopped(signal);
    report.closing(graceMs);
    return EXIT.OK;
  } catch (error) {
    report.complaint(complaintOf(error));
    return EXIT.NO;
  } finally {
    watch.close();
    await ingress.close();
    await admin.close();
  }
}

async function openPlane(
  { workers }: IngressFlags,
  settings: DataPlaneSettings,
  graceMs: number,
  report: IngressReport,
): Promise<DataPlane> {
  const { LocalDataPlane, WorkerFleet } = await import("@holdfast/ingress");
  if (workers === 1) return new LocalDataPlane(settings);
  return WorkerFleet.start({ workers, settings, graceMs, onEvent: (event) => report.workerExited(event) });
}

async function reportFor({ json = false }: IngressFlags): Promise<IngressReport> {
  // Loaded here alone, so that the other commands start without it.
  const { jsonIngressReport, textIngressReport } = await import("../ingress-report.ts");
  if (json) return jsonIngressReport((line) => process.stdout.write(`${line}\n`));
  return textIngressReport({
    err: (line) => process.stderr.write(`${line}\n`),
    errStyle: styleFor(process.stderr),
  });
}
