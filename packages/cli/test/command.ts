import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const main = join(import.meta.dirname, "../src/main.ts");

/** The `holdfast` command as a process of its own, with all that it has written. */
export class RunningCommand {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";

  constructor(
    args: readonly string[],
    given: { readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
  ) {
    this.child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...given.env } });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.child.stdin?.end(given.input);
  }

  /** What it has told in JSON so far. */
  events(): { readonly type: string; readonly [field: string]: unknown }[] {
    return this.stdout
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line));
  }

  /** Resolves with the exit code once it has ended and all its output was read. */
  async exit(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "close");
    return this.child.exitCode;
  }
}

/** Runs a command to its end. */
export async function holdfast(
  args: readonly string[],
  given: { readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const command = new RunningCommand(args, given);
  const code = await command.exit();
  return { code, stdout: command.stdout, stderr: command.stderr };
}

const DEPLOYMENT = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector: { matchLabels: { run: web } }
  template:
    metadata: { labels: { run: web } }
    spec:
      containers:
        - name: hostname
          image: IMAGE
          ports: [{ containerPort: 9376 }]
`;

const SERVICE = `
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: { cloud.google.com/neg: '{"ingress": true}' }
spec:
  selector: { run: web }
  ports: [{ port: 80, targetPort: 9376 }]
`;

const INGRESS = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
spec:
  defaultBackend: { service: { name: SERVICE, port: { number: PORT } } }
`;

/** A Deployment, a Service and an Ingress, right or wrong in one way. */
export function manifests(
  given: { readonly image?: string; readonly service?: string; readonly port?: number } = {},
): string {
  const { image = "k8s.gcr.io/serve_hostname:v1.4", service = "web", port = 80 } = given;
  return [
    DEPLOYMENT.replace("IMAGE", image),
    SERVICE,
    INGRESS.replace("SERVICE", service).replace("PORT", String(port)),
  ].join("---");
}
