import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import type { Certificate } from "@holdfast/routing";
import { IngressError } from "../errors.ts";

interface ServerCertificate {
  readonly parsed: X509Certificate;
  readonly context: SecureContext;
}

/** TLS 1.2 at least. Sessions of one context are resumed in any other that has the same session id context. */
export const TLS_SETTINGS = { minVersion: "TLSv1.2", sessionIdContext: "holdfast" } as const;

/** A load balancer's certificates, and which of them a client is shown. */
export class ServerCertificates {
  /** What a client is shown that names no host, or an unknown one. */
  readonly first: Pick<SecureContextOptions, "cert" | "key">;
  readonly #given: readonly Certificate[];
  readonly #certificates: readonly ServerCertificate[];

  /**
   * @param certificates without any, every handshake fails
   * @throws IngressError `CERTIFICATE_INVALID`, which names the Secret and nothing of what it holds
   */
  constructor(certificates: readonly Certificate[]) {
    const [first] = certificates;
    this.first = first ? { cert: first.chain, key: first.privateKey } : {};
    this.#given = certificates;
    this.#certificates = certificates.map((certificate) => ({
      parsed: parse(certificate),
      context: createSecureContext({
        ...TLS_SETTINGS,
        cert: certificate.chain,
        key: certificate.privateKey,
      }),
    }));
  }

  /** Whether it was made from just these. */
  isOf(certificates: readonly Certificate[]): boolean {
    return isDeepStrictEqual(certificates, this.#given);
  }

  /**
   * The context for the host that a client names (SNI, RFC 6066 §3): of the first certificate that has exactly this
   * name, else of the first whose wildcard covers it, by the rules of RFC 6125 §6.4 (one label; the common name counts
   * only where there is no DNS name).
   *
   * @returns undefined where none has the name: the client is shown the first one then, as on GKE
   */
  contextFor(host: string): SecureContext | undefined {
    // OpenSSL takes no such name for one, and Node throws then.
    if (host === "" || host.includes("\0")) return undefined;
    return this.#find(host, { wildcards: false }) ?? this.#find(host, { partialWildcards: false });
  }

  #find(
    host: string,
    how: { readonly wildcards?: boolean; readonly partialWildcards?: boolean },
  ): SecureContext | undefined {
    return this.#certificates.find(({ parsed }) => parsed.checkHost(host, how) !== undefined)?.context;
  }
}

/** OpenSSL's own messages neither name the Secret nor say what to mend. */
function parse({ name, chain, privateKey }: Certificate): X509Certificate {
  const refuse = (what: string) => new IngressError("CERTIFICATE_INVALID", `Secret ${name}: ${what}`);
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(chain);
  } catch {
    throw refuse("tls.crt is not a certificate chain in PEM form");
  }
  let belongs: boolean;
  try {
    belongs = parsed.checkPrivateKey(createPrivateKey(privateKey));
  } catch {
    throw refuse("tls.key is not a private key in PEM form, without a passphrase");
  }
  if (!belongs) throw refuse("tls.key is not the key of the first certificate in tls.crt");
  return parsed;
}
