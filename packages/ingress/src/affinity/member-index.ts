import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";

/**
 * Finds a table's members by something that is computed of them. The index is made anew when the table's members or
 * their health have changed, but nothing is computed twice of a member that stayed as it was.
 */
export class MemberIndex {
  readonly #textOf: (member: EndpointState) => string;
  readonly #tokenOf: (text: string) => string;
  readonly #known = new WeakMap<EndpointState, { readonly text: string; readonly token: string }>();
  #indexed: readonly EndpointState[] | undefined;
  #byToken: ReadonlyMap<string, EndpointState> = new Map();

  /**
   * @param textOf what identifies the member
   * @param tokenOf the token of that, which may be costly to compute
   */
  constructor(textOf: (member: EndpointState) => string, tokenOf: (text: string) => string) {
    this.#textOf = textOf;
    this.#tokenOf = tokenOf;
  }

  find(table: EndpointTable, token: string): EndpointState | undefined {
    if (this.#indexed !== table.members) {
      this.#indexed = table.members;
      this.#byToken = new Map(this.#indexed.map((member) => [this.tokenOf(member), member]));
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
