import { fields, name, optional, strings } from "./field.ts";

/** The metadata of an object in a namespace; `default` where it names none. */
export const metadata = fields({
  name,
  namespace: optional(name).transform((value) => value ?? "default"),
  labels: strings,
  annotations: strings,
});

/** The metadata of an object that lives in no namespace. */
export const clusterMetadata = fields({ name, labels: strings, annotations: strings }).transform((value) => ({
  ...value,
  namespace: "",
}));
