import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";

/**
 * Finds a table's members by something that is computed of them, and those that are leaving too where that is wanted.
 * The index is made anew when the table's members or their health have changed, but nothing is computed twice of a
 * member that stayed as it was.
 */
export class MemberIndex {
  readonly #textOf: (member: EndpointState) => string;
  readonly #tokenOf: (text: string) => string;
  readonly #known = new WeakMap<EndpointState, { readonly text: string; readonly token: string }>();
  readonly #withLeaving: boolean;
  #indexed: readonly EndpointState[] | undefined;
  #leaving: readonly EndpointState[] = [];
  #byToken: ReadonlyMap<string, EndpointState> = new Map();

  /**
   * @param textOf what identifies the member
   * @param tokenOf the token of that, which may be costly to compute
   */
  constructor(
    textOf: (member: EndpointState) => string,
    tokenOf: (text: string) => string,
    { withLeaving = false }: { readonly withLeaving?: boolean } = {},
  ) {
    this.#textOf = textOf;
    this.#tokenOf = tokenOf;
    this.#withLeaving = withLeaving;
  }

  find(table: EndpointTable, token: string): EndpointState | undefined {
    const leaving = this.#withLeaving ? table.leaving : this.#leaving;
    if (this.#indexed !== table.members || this.#leaving !== leaving) {
      this.#indexed = table.members;
      this.#leaving = leaving;
      // Members come last, since they count before those that leave.
      const all = [...leaving, ...this.#indexed];
      this.#byToken = new Map(all.map((member) => [this.tokenOf(member), member]));
    }
    return this.#byToken.get(token);
  }

  tokenOf(member: EndpointState): string {
    const text = this.#textOf(member);
    const known = this.#known.get(member);
    if (known?.text === text) return known.token;
    const token = this.#tokenOf(text);
    this.#known.set(member, { text, token });
    return token;
  }
}
