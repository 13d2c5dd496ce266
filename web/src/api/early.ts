import { fingerprint } from "./fingerprint";

const OURS = { "X-Derpman-Page": "1" }; // else the cookie does not count
let known: string | undefined;

/** The two headers of every request: that it is of our own page, and of which browser. */
export function pageHeaders(): Record<string, string> {
  known ??= fingerprint(); // a tenth of a second on a slow telephone: not before the first paint
  return { ...OURS, "X-Browser-Fingerprint": known };
}

const asked = new Map<string, Promise<Response>>();

/** Asks for something before the program that reads it is here; whoever asks next is given it. */
export function askEarly(path: string): void {
  const answer = fetch(path, { headers: OURS });
  answer.catch(() => undefined); // told to whoever takes it
  asked.set(path, answer);
}

/** Fetches, or takes what was asked for early: once, and not after anything was changed. */
export function fetchOnce(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  if (request.method !== "GET") asked.clear(); // a log-in above all: they were a visitor's answers
  const early = asked.get(pathname + search);
  if (early) {
    asked.delete(pathname + search);
    return early;
  }
  for (const [name, value] of Object.entries(pageHeaders())) request.headers.set(name, value);
  return fetch(request);
}
