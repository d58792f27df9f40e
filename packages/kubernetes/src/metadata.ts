import { fields, name, optional, texts } from "./field.ts";

/** The metadata of an object in a namespace; `default` where it names none. */
export const metadata = fields({
  name,
  namespace: optional(name).transform((value) => value ?? "default"),
  labels: texts,
  annotations: texts,
});

/** The metadata of an object that lives in no namespace. */
export const clusterMetadata = fields({ name, labels: texts, annotations: texts }).transform((value) => ({
  ...value,
  namespace: "",
}));
