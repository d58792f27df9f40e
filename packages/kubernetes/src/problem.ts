import { printable } from "@holdfast/routing";

/** Why a manifest, or a part of it, was not read. Data, never thrown: one bad file doesn't hide the others' problems. */
export interface Problem {
  /** Stable; listed in docs/findings.md. */
  readonly code: ProblemCode;
  /** What is wrong, without the place. */
  readonly message: string;
  /** What to do about it. */
  readonly fix: string;
  /** The file, and the place in it where there is one. */
  readonly at: { readonly file: string; readonly line?: number; readonly column?: number };
}

export type ProblemCode = keyof typeof PROBLEMS;

/** Every problem there is, and the fix when the problem itself has no closer one. All of them are errors. */
export const PROBLEMS = {
  DUPLICATE_OBJECT: {
    meaning: "Two objects have the same kind, namespace and name.",
    fix: "Remove or rename one of them.",
  },
  FIELD_INVALID: {
    meaning: "A field is missing, or its value is not what Kubernetes takes there.",
    fix: "Correct the field.",
  },
  FILE_NOT_TEXT: {
    meaning: "The file is not UTF-8 text.",
    fix: "Save it as UTF-8.",
  },
  FILE_TOO_LARGE: {
    meaning: "The file is over the limit (4 MiB unless set otherwise).",
    fix: "Split the file, or name the files that are manifests instead of their folder.",
  },
  FILE_UNREADABLE: {
    meaning: "The file or folder can't be read.",
    fix: "Check its permissions, and that it is a file or a folder.",
  },
  NO_OBJECTS: {
    meaning: "Nothing that Holdfast reads was found.",
    fix: "Name a file or folder that holds .yaml, .yml or .json manifests.",
  },
  NOT_KUBERNETES: {
    meaning:
      "A document is not a Kubernetes object: it has no `apiVersion` or `kind`, or is no mapping at all.",
    fix: "Give it `apiVersion` and `kind`, or leave the file out.",
  },
  PATH_NOT_FOUND: {
    meaning: "No such file or folder.",
    fix: "Correct the path.",
  },
  TOO_MANY_FILES: {
    meaning:
      "There are more files, or more bytes in all, than the limit (1,000 files, 64 MiB unless set otherwise).",
    fix: "Name the files or folders that hold the manifests.",
  },
  TOO_MANY_PROBLEMS: {
    meaning: "The file has more problems than are shown (100).",
    fix: "Correct those shown first.",
  },
  VERSION_UNSUPPORTED: {
    meaning: "The kind is one that Holdfast reads, in an API version that it doesn't.",
    fix: "Write one of the versions named.",
  },
  YAML_SYNTAX: {
    meaning: "The text is not valid YAML.",
    fix: "Correct the line named.",
  },
  YAML_TAB: {
    meaning: "A line is indented with a tab, which YAML forbids.",
    fix: "Replace the tab by spaces, or use `--mend`.",
  },
  YAML_TOO_COMPLEX: {
    meaning: "The YAML is nested too deeply, or its aliases stand for too much.",
    fix: "Write it plainly: at most 100 levels, and 1,000,000 values with aliases written out.",
  },
} as const satisfies Record<string, { readonly meaning: string; readonly fix: string }>;

/** A problem with its code's fix, unless a closer one is given. */
export function problem(
  code: ProblemCode,
  at: Problem["at"],
  message: string,
  fix: string = PROBLEMS[code].fix,
): Problem {
  return { code, message: printable(message), fix: printable(fix), at };
}
