import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Certificate } from "@holdfast/routing";
import { IngressError } from "../errors.ts";

interface ServerCertificate {
  readonly parsed: X509Certificate;
  readonly context: SecureContext;
}

/** A load balancer's certificates, and which of them a client is shown. */
export class ServerCertificates {
  readonly #certificates: readonly ServerCertificate[];

  /**
   * @param settings of every context that is made
   * @throws IngressError `CERTIFICATE_INVALID`, which names the Secret and nothing of what it holds
   */
  constructor(certificates: readonly Certificate[], settings: SecureContextOptions) {
    this.#certificates = certificates.map((certificate) => ({
      parsed: parse(certificate),
      context: createSecureContext({ ...settings, cert: certificate.chain, key: certificate.privateKey }),
    }));
  }

  /**
   * The context for the host that a client names (SNI, RFC 6066 §3): of the first certificate that has exactly this
   * name, else of the first whose wildcard covers it, by the rules of RFC 6125 §6.4 (one label; the common name counts
   * only where there is no DNS name).
   *
   * @returns undefined where none has the name: the client is shown the first one then, as on GKE
   */
  contextFor(host: string): SecureContext | undefined {
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
