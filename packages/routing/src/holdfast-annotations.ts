import { type Finding, type FindingCode, finding } from "./finding.ts";
import type { Face, PinnedCookie } from "./model.ts";
import { type Ingress, nameOf } from "./objects.ts";

const PREFIX = "holdfast.dev/";

/** Every annotation of an Ingress that is Holdfast's own: what it takes, and what holds where it is not there. */
export const HOLDFAST_ANNOTATIONS = {
  "holdfast.dev/affinity": {
    values: "`cookie`, `client-ip`, `none`",
    default: "`cookie`",
    about: "The rule that picks the same pod again, for each Service whose BackendConfig names none.",
  },
  "holdfast.dev/cookie-name": {
    values: "a cookie's name, at most 64 characters",
    default: "`HOLDFAST`",
    about:
      'How the cookie\'s name begins; a mark of the Service is added. `__Host-` and `__Secure-` names need `cookie-secure: "true"`.',
  },
  "holdfast.dev/cookie-ttl": {
    values: "seconds, or such as `90m`, `12h`, `1h30m`, `7d`; at most 400 days",
    default: "`0`",
    about:
      "How long the cookie lasts after its last renewal; 0: as long as the browser's session. Wins over `affinityCookieTtlSec`.",
  },
  "holdfast.dev/cookie-path": {
    values: "a path",
    default: "`/`",
    about: "The paths that a browser sends it to.",
  },
  "holdfast.dev/cookie-domain": {
    values: "a domain",
    default: "the host alone",
    about: "The domain that a browser sends it to, subdomains included.",
  },
  "holdfast.dev/cookie-secure": {
    values: "`true`, `false`, `auto`",
    default: "`auto`",
    about: "Whether a browser sends it over HTTPS only; `auto`: when it was issued over HTTPS.",
  },
  "holdfast.dev/cookie-same-site": {
    values: "`Strict`, `Lax`, `None`",
    default: "not said",
    about: 'Whether a browser sends it with requests from other sites. `None` needs `cookie-secure: "true"`.',
  },
  "holdfast.dev/session-affinity": {
    values: "`true`, `false`",
    default: "`true`; `false` in GKE's classes",
    about: "Whether the requests of an Engine.IO session follow its `sid`, with or without a cookie.",
  },
} as const satisfies Record<
  string,
  { readonly values: string; readonly default: string; readonly about: string }
>;

type Name = keyof typeof HOLDFAST_ANNOTATIONS;

/** What the annotations of an Ingress decide. */
export interface IngressAffinity {
  readonly affinity: "cookie" | "client-ip" | "none";
  readonly cookie: PinnedCookie;
  /** Whether the cookie's time to live is the annotation's. */
  readonly ttlGiven: boolean;
  readonly sessionAffinity: boolean;
}

const MAX_TTL_SEC = 400 * 24 * 3_600;
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const COOKIE_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;
const COOKIE_PATH = /^\/[\x21-\x3a\x3c-\x7e]{0,255}$/;
const DOMAIN = /^\.?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * Reads the annotations that begin with `holdfast.dev/`. A value that can't be understood is an error: an Ingress is
 * never served other than it says. In GKE's faces only `session-affinity` has an effect.
 */
export function readHoldfastAnnotations(
  ingress: Ingress,
  face: Face,
): { readonly affinity: IngressAffinity; readonly findings: readonly Finding[] } {
  const reader = new AnnotationReader(ingress, face);
  const affinity = reader.oneOf("affinity", ["cookie", "client-ip", "none"]) ?? "cookie";
  const cookie = readCookie(reader);
  const sessionAffinity = reader.oneOf("session-affinity", ["true", "false"]);
  if (affinity !== "cookie") {
    for (const name of reader.given()) {
      if (name.startsWith(`${PREFIX}cookie-`)) {
        reader.report("HF-A03", name, `${name} has no effect with holdfast.dev/affinity: ${affinity}`);
      }
    }
  }
  return {
    affinity: {
      affinity,
      cookie,
      ttlGiven: reader.text("cookie-ttl") !== undefined,
      sessionAffinity: sessionAffinity === undefined ? face === "holdfast" : sessionAffinity === "true",
    },
    findings: reader.findings,
  };
}

function readCookie(reader: AnnotationReader): PinnedCookie {
  const name = reader.matching("cookie-name", COOKIE_NAME, "a cookie's name of at most 64 characters");
  const ttlSec = reader.duration("cookie-ttl");
  const path = reader.matching("cookie-path", COOKIE_PATH, "a path of at most 256 characters, without a ;");
  const domain = reader
    .matching("cookie-domain", DOMAIN, "a domain in lower case, such as example.com")
    ?.replace(/^\./, "");
  const secure = reader.oneOf("cookie-secure", ["true", "false", "auto"]) ?? "auto";
  const sameSite = reader.oneOf("cookie-same-site", ["Strict", "Lax", "None"]);
  if (sameSite === "None" && secure !== "true") {
    reader.refuse("cookie-same-site", "None, which browsers take from a Secure cookie only");
  }
  const prefix = /^__(host|secure)-/i.exec(name ?? "")?.[1]?.toLowerCase();
  if (prefix !== undefined && secure !== "true") {
    reader.refuse("cookie-name", `${name}, which browsers take from a Secure cookie only`);
  } else if (prefix === "host" && (domain !== undefined || (path ?? "/") !== "/")) {
    reader.refuse("cookie-name", `${name}, which browsers take without a domain and for the path / only`);
  }
  return {
    name: name ?? "HOLDFAST",
    ttlSec,
    path: path ?? "/",
    ...(domain === undefined ? {} : { domain }),
    secure: secure === "auto" ? secure : secure === "true",
    ...(sameSite === undefined ? {} : { sameSite }),
  };
}

/** Reads values one by one; a bad one is reported, and read as if it weren't there. */
class AnnotationReader {
  readonly findings: Finding[] = [];
  readonly #ingress: Ingress;
  readonly #inert: ReadonlySet<string>;

  constructor(ingress: Ingress, face: Face) {
    this.#ingress = ingress;
    const others = this.given().filter((key) => key !== `${PREFIX}session-affinity`);
    this.#inert = new Set(face === "holdfast" ? [] : others);
    for (const key of this.given()) {
      if (!Object.hasOwn(HOLDFAST_ANNOTATIONS, key)) {
        const known = Object.keys(HOLDFAST_ANNOTATIONS).join(", ");
        this.report("HF-A01", key, `there is no annotation ${key}`, `Write one of ${known}; or remove it.`);
      } else if (this.#inert.has(key)) {
        this.report("HF-A03", key, `${key} has no effect on an Ingress of GKE's classes`);
      }
    }
  }

  given(): string[] {
    return Object.keys(this.#ingress.metadata.annotations).filter((key) => key.startsWith(PREFIX));
  }

  text(name: string): string | undefined {
    const key = PREFIX + name;
    return this.#inert.has(key) ? undefined : this.#ingress.metadata.annotations[key];
  }

  oneOf<const Value extends string>(name: string, values: readonly Value[]): Value | undefined {
    const text = this.text(name);
    const found = values.find((value) => value === text);
    if (text !== undefined && found === undefined) {
      this.refuse(name, JSON.stringify(text.slice(0, 80)), `one of ${values.join(", ")}`);
    }
    return found;
  }

  matching(name: string, pattern: RegExp, wanted: string): string | undefined {
    const text = this.text(name);
    if (text === undefined || pattern.test(text)) return text;
    this.refuse(name, JSON.stringify(text.slice(0, 80)), wanted);
    return undefined;
  }

  /** Seconds. */
  duration(name: string): number {
    const text = this.text(name);
    if (text === undefined) return 0;
    const seconds = secondsOf(text);
    if (seconds !== undefined && seconds <= MAX_TTL_SEC) return seconds;
    const wanted = "a number of seconds, or such as 90m, 12h or 7d, up to 400 days";
    this.refuse(name, JSON.stringify(text.slice(0, 80)), wanted);
    return 0;
  }

  refuse(name: string, got: string, wanted?: string): void {
    const key: Name = `${PREFIX}${name}` as Name;
    const fix = wanted === undefined ? undefined : `Write ${wanted}, in quotes.`;
    this.report("HF-A02", key, `${key} is ${got}`, fix);
  }

  report(code: FindingCode, key: string, message: string, fix?: string): void {
    const at = this.#ingress.source.locate(["metadata", "annotations", key]);
    const object = `Ingress ${nameOf(this.#ingress)}`;
    this.findings.push(finding(code, { object, message, at, ...(fix === undefined ? {} : { fix }) }));
  }
}

function secondsOf(text: string): number | undefined {
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  if (text.length > 40 || !/^(?:[0-9]{1,9}[smhd])+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, count, unit = ""] of text.matchAll(/([0-9]+)([smhd])/g)) {
    seconds += Number(count) * (UNITS[unit] ?? 0);
  }
  return seconds;
}
