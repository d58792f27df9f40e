import { InvalidArgumentError } from "commander";

/** Adds one `--image NAME=COMMAND` to those before it. @throws InvalidArgumentError (commander's, so exit code 2) */
export function addImageFlag(
  flag: string,
  before: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const equals = flag.indexOf("=");
  const name = flag.slice(0, equals).trim();
  const command = flag.slice(equals + 1);
  if (equals < 1 || name === "" || command.trim() === "") {
    throw new InvalidArgumentError("Write NAME=COMMAND, such as chat='node server.js'.");
  }
  return { ...before, [name]: command };
}

/** A port as text. @throws InvalidArgumentError */
export function readPort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new InvalidArgumentError("Write a whole number from 0 to 65535.");
  return port;
}

/** A whole number as text, within bounds. @throws InvalidArgumentError */
export function readWhole(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d{1,10}$/.test(text) || number < min || number > max)
      throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`);
    return number;
  };
}
