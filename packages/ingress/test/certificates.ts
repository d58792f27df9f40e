import type { Certificate } from "@holdfast/routing";
import { generate } from "selfsigned";

/** A certificate for these DNS names, signed by itself. */
export async function certificateFor(names: readonly string[], secret = "default/tls"): Promise<Certificate> {
  const extensions = names.length === 0 ? [] : [dnsNames(names)];
  const pems = await generate([{ name: "commonName", value: names[0] ?? "common.example" }], {
    keyType: "ec",
    extensions,
  });
  return { name: secret, chain: pems.cert, privateKey: pems.private };
}

function dnsNames(names: readonly string[]) {
  return {
    name: "subjectAltName" as const,
    altNames: names.map((value) => ({ type: 2 as const, value })),
  };
}
