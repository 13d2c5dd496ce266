import createClient, { type Middleware } from "openapi-fetch";
import { fetchOnce, pageHeaders } from "./early";
import type { paths } from "./schema";
import { working } from "./work";

/** What the server refused, in its own words and with a code to translate by. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly params: Record<string, unknown>;

  constructor(status: number, code: string, message: string, params: Record<string, unknown> = {}) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.params = params;
  }
}

const listeners = new Set<() => void>();

/** Calls back when an answer says that nobody is logged in any more. */
export function onLoggedOut(heard: () => void): () => void {
  listeners.add(heard);
  return () => listeners.delete(heard);
}

const noticing: Middleware = {
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && schemaPath !== "/api/user/login") {
      for (const heard of listeners) heard();
    }
  },
};

export const api = createClient<paths>({
  baseUrl: typeof location === "undefined" ? "http://localhost" : location.origin,
  fetch: fetchOnce,
  querySerializer: { array: { style: "form", explode: true } },
});
api.use(noticing, working);

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** Returns the data of an answer; anything else becomes an ApiError. */
export async function unwrap<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch {
    throw new ApiError(0, "network", "The server cannot be reached.");
  }
  if (answer.response.ok && answer.data !== undefined) return answer.data;
  throw errorOf(answer.response.status, answer.error);
}

/** The same for a list that can also be a CSV file: it was asked for as JSON. */
export async function unwrapList<T>(call: Promise<Answer<unknown>>): Promise<T> {
  return (await unwrap(call)) as T;
}

/** Makes an ApiError of whatever came as the body of a refusal. */
export function errorOf(status: number, body: unknown): ApiError {
  const found = (body as { error?: { code?: string; message?: string; params?: object } } | null)
    ?.error;
  if (found?.code) {
    return new ApiError(status, found.code, found.message ?? "", {
      ...(found.params as Record<string, unknown>),
    });
  }
  return new ApiError(status, status >= 500 ? "internal" : `http.${status}`, `HTTP ${status}`);
}

/** Fetches a file as it would be downloaded, with the headers a link cannot send. */
export async function fetchFile(path: string): Promise<{ name: string; blob: Blob }> {
  let response: Response;
  try {
    response = await fetch(path, { headers: pageHeaders() });
  } catch {
    throw new ApiError(0, "network", "The server cannot be reached.");
  }
  if (!response.ok) throw errorOf(response.status, await response.json().catch(() => null));
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  return { name: name ?? "download", blob: await response.blob() };
}

/** Hands a file to the browser's downloads. */
export function save(file: { name: string; blob: Blob }): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file.blob);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
