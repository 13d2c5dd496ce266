import type { Middleware } from "openapi-fetch";

const HEADER = "X-Derpman-Work";
const AT_ONCE = 512;

/** Counts the zero bits that a digest begins with. */
export function zeroBits(digest: Uint8Array): number {
  let bits = 0;
  for (const byte of digest) {
    if (byte !== 0) return bits + Math.clz32(byte) - 24;
    bits += 8;
  }
  return bits;
}

/** Finds the number that the server asks for above a rate of mails: a second or a few of work. */
export async function solve(puzzle: string, bits: number): Promise<string> {
  const encoder = new TextEncoder();
  for (let first = 0; ; first += AT_ONCE) {
    const answers = Array.from({ length: AT_ONCE }, (_, offset) => `${puzzle}:${first + offset}`);
    const digests = await Promise.all(
      answers.map((answer) => crypto.subtle.digest("SHA-256", encoder.encode(answer))),
    );
    const found = digests.findIndex((digest) => zeroBits(new Uint8Array(digest)) >= bits);
    if (found >= 0) return answers[found] as string;
  }
}

const mailing = new Set(["/api/user/register", "/api/user/resend", "/api/user/password/forgot"]);
const sent = new Map<string, Request>();

/** Does the work by itself and sends the form again; the visitor only waits a moment. */
export const working: Middleware = {
  onRequest({ request, schemaPath, id }) {
    if (mailing.has(schemaPath)) sent.set(id, request.clone());
  },
  async onResponse({ response, id }) {
    const again = sent.get(id);
    sent.delete(id);
    if (!again || response.status !== 403 || !globalThis.crypto?.subtle) return undefined;
    const body = await response
      .clone()
      .json()
      .catch(() => null);
    if (body?.error?.code !== "access.work_needed") return undefined;
    again.headers.set(HEADER, await solve(body.error.params.puzzle, body.error.params.bits));
    return fetch(again);
  },
  onError({ id }) {
    sent.delete(id);
  },
};
