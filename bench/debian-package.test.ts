import { describe, expect, it } from "vitest";
import { ensureInstalled } from "./debian-package.ts";

const SHELL = { command: "sh", name: "dash" };
const MISSING = { command: "no-such-command", name: "no-such-package" };

describe("ensureInstalled", () => {
  it("does nothing when every command is there", () => {
    const progress: string[] = [];
    ensureInstalled([SHELL], { onProgress: (line) => progress.push(line) });
    ensureInstalled([], { onProgress: (line) => progress.push(line), path: [] });
    expect(progress).toEqual([]);
  });

  it("installs the packages of those that aren't, and no others", () => {
    const installed: string[] = [];
    const path: string[] = [];
    const install = (names: readonly string[]) => {
      installed.push(...names);
      path.push("/bin");
      return true;
    };
    ensureInstalled([SHELL], { onProgress: () => {}, path, install });
    ensureInstalled([SHELL], { onProgress: () => {}, path, install });
    expect(installed).toEqual(["dash"]);
  });

  it("looks for the file of a package that has no command", () => {
    const module = { command: "sh", name: "no-such-module", file: "/no/such/module.so" };
    const options = { onProgress: () => {}, install: () => true };
    expect(() => ensureInstalled([module], options)).toThrow("this bench needs no-such-module");
    ensureInstalled([{ ...module, file: import.meta.filename }], options);
  });

  it.each([false, true])(
    "says what to install when that can't be done (the installer's word: %s)",
    (word) => {
      const options = { onProgress: () => {}, install: () => word };
      expect(() => ensureInstalled([SHELL, MISSING], options)).toThrow(
        "this bench needs no-such-package: install it (Debian: apt-get install no-such-package) and run again",
      );
    },
  );
});
