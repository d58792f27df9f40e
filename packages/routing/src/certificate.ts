import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Certificate } from "./model.ts";
import { nameOf, type Secret } from "./objects.ts";

/** A Secret's certificate, or why it has none. The reason never holds anything of what the Secret holds. */
export type ReadCertificate =
  | { readonly ok: true; readonly certificate: Certificate }
  | { readonly ok: false; readonly message: string };

/** PEM of a chain with its key is a few kilobytes; more than this is no certificate. */
const MAX_PEM = 256 * 1_024;
const MAX_CHAIN = 20;
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]{1,65536}-----END CERTIFICATE-----/g;

/** Both parts have to be there, to be what they say, and to belong together. */
export function readCertificate(secret: Secret): ReadCertificate {
  const { "tls.crt": chain, "tls.key": privateKey } = secret.data;
  const name = nameOf(secret);
  const refuse = (what: string) => ({ ok: false, message: `secret "${name}" ${what}` }) as const;
  if (chain === undefined) return refuse("has no 'tls.crt'");
  if (privateKey === undefined) return refuse("has no 'tls.key'");
  if (chain.length > MAX_PEM || privateKey.length > MAX_PEM) return refuse("holds more than a certificate");
  const blocks = chain.match(BLOCK) ?? [];
  if (blocks.length === 0 || blocks.length > MAX_CHAIN) {
    return refuse(`has no certificate in 'tls.crt', or more than ${MAX_CHAIN} of them`);
  }
  const certificates = attempt(() => blocks.map((block) => new X509Certificate(block)));
  const [leaf] = certificates ?? [];
  if (leaf === undefined) return refuse("has a 'tls.crt' that can't be read as certificates in PEM");
  const key = attempt(() => createPrivateKey(privateKey));
  if (key === undefined) return refuse("has a 'tls.key' that can't be read as a private key in PEM");
  if (!attempt(() => leaf.checkPrivateKey(key)))
    return refuse("has a 'tls.key' that isn't the certificate's");
  return { ok: true, certificate: { name, chain, privateKey } };
}

/** What the library says of a failure is left out, for it may quote its input. */
function attempt<Result>(run: () => Result): Result | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
