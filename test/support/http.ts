export interface Answer {
  readonly status: number;
  readonly body: string;
  /** The Set-Cookie header, if there was one. */
  readonly cookie: string | undefined;
}

/** GETs the same address again and again, each request after the one before. A request that fails has status 0. */
export async function requests(
  url: string,
  count: number,
  headers: Record<string, string> = {},
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let index = 0; index < count; index += 1) {
    try {
      const response = await fetch(url, { headers });
      const body = (await response.text()).trim();
      answers.push({ status: response.status, body, cookie: response.headers.getSetCookie()[0] });
    } catch (error) {
      answers.push({ status: 0, body: String(error), cookie: undefined });
    }
  }
  return answers;
}

/** How many answers had each body. */
export function balance(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { body } of answers) counts[body] = (counts[body] ?? 0) + 1;
  return counts;
}
