import { ServerError } from "./errors.ts";
import { defaultOf, type Role, VARIABLES, type Values, type VariableName } from "./variables.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Kubernetes gives every pod variables about the services of its namespace, and one named `holdfast-broker` yields
 * `HOLDFAST_BROKER_SERVICE_HOST`, `HOLDFAST_BROKER_PORT_7420_TCP` and so on (Kubernetes docs, "Accessing the
 * Service: environment variables").
 */
const SERVICE_LINK =
  /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

/**
 * Reads the variables, with a role's defaults where they are not set; an empty one counts as not set.
 *
 * @throws ServerError `CONFIG_INVALID` that names every variable at fault: a value out of range, or a `HOLDFAST_`
 *   name that is none of ours, which is a typing error more often than not
 */
export function readEnvironment(environment: Environment, role: Role): Values {
  const problems: string[] = [];
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || isVariable(name) || SERVICE_LINK.test(name)) continue;
    if (name.startsWith("HOLDFAST_")) {
      problems.push(`${name} is no variable of Holdfast; the nearest is ${nearest(name)}`);
    }
  }
  const values: Partial<Record<VariableName, unknown>> = {};
  for (const name of Object.keys(VARIABLES) as VariableName[]) {
    const text = environment[name] || defaultOf(name, role);
    if (text === undefined) continue;
    const result = VARIABLES[name].schema.safeParse(text);
    if (result.success) values[name] = result.data;
    else problems.push(`${name}=${shown(name, text)} ${result.error.issues[0]?.message ?? "is not valid"}`);
  }
  if (problems.length > 0) throw new ServerError("CONFIG_INVALID", problems.join("; "));
  return values as Values;
}

function isVariable(name: string): boolean {
  return Object.hasOwn(VARIABLES, name);
}

function shown(name: VariableName, text: string): string {
  return name === "HOLDFAST_BROKER_TOKEN" ? "(not shown)" : text.slice(0, 100);
}

function nearest(name: string): string {
  const names = Object.keys(VARIABLES).filter((known) => known.startsWith("HOLDFAST_"));
  return names.reduce((best, known) => (distance(name, known) < distance(name, best) ? known : best));
}

/** Levenshtein: how many letters are to be typed, struck or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
