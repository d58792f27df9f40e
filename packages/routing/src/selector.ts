/** Whether a selector picks pods with these labels, as a Service's does: an empty one picks none. */
export function selects(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  const names = Object.keys(selector);
  return (
    names.length > 0 && names.every((name) => Object.hasOwn(labels, name) && labels[name] === selector[name])
  );
}
