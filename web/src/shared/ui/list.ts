import { keepPreviousData, type QueryKey, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";

/** What of a list stands in the address: its filters, and the pages that were turned. */
export type ListSearch = Record<string, string | undefined>;

export interface ListState {
  search: ListSearch;
  /** Sets filters and goes back to the first page; empty ones leave the address. */
  filter(changes: ListSearch): void;
  /** Turns to the page after the row with this id. */
  next(before: number): void;
  previous(): void;
  page: number;
  limit: number;
  /** The filters with these names, the order and the page, as the API asks for them. */
  asked(names: readonly string[]): Record<string, string>;
}

const PAGES = "p";

/** The state of a list that lives in the address bar. */
export function useListState(defaultLimit = 20): ListState {
  const search = useSearch({ strict: false }) as ListSearch;
  const navigate = useNavigate();
  const go = (to: ListSearch) => navigate({ to: ".", search: clean(to) as never });
  const trail = (search[PAGES] ?? "").split(",").filter(Boolean);
  const limit = Number(search.limit) || defaultLimit;
  return {
    search,
    page: trail.length + 1,
    limit,
    filter: (changes) => go({ ...search, [PAGES]: undefined, ...changes }),
    next: (before) => go({ ...search, [PAGES]: [...trail, String(before)].join(",") }),
    previous: () => go({ ...search, [PAGES]: trail.slice(0, -1).join(",") }),
    asked: (names) => {
      const wanted: ListSearch = { limit: String(limit), before: trail.at(-1), sort: search.sort };
      for (const name of names) wanted[name] = search[name];
      return clean(wanted);
    },
  };
}

function clean(search: ListSearch): Record<string, string> {
  return Object.fromEntries(
    Object.entries(search).filter((entry): entry is [string, string] => Boolean(entry[1])),
  );
}

/** A day of the business's place as the instant it begins: lists are filtered by instants. */
export function beginOf(day: string, plusDays = 0): string {
  const begin = new Date(`${day}T00:00:00+08:00`);
  begin.setUTCDate(begin.getUTCDate() + plusDays);
  return begin.toISOString();
}

/** Filters as the API wants them: days of `from` and `to` become instants, `to` counting whole. */
export function withDays(asked: Record<string, string>): Record<string, string> {
  const { from, to, ...rest } = asked;
  return {
    ...rest,
    ...(from ? { from: beginOf(from) } : {}),
    ...(to ? { to: beginOf(to, 1) } : {}),
  };
}

/** The address of the same list as a CSV file, without its page. */
export function csvAddress(path: string, asked: Record<string, string>, format = true): string {
  const { before: _before, limit: _limit, ...filters } = asked;
  const text = new URLSearchParams({ ...filters, ...(format ? { format: "csv" } : {}) }).toString();
  return text ? `${path}?${text}` : path;
}

/** Reads a page of a list, and keeps the last one in sight meanwhile. */
export function useListQuery<T>(key: QueryKey, read: () => Promise<T>) {
  return useQuery({ queryKey: key, queryFn: read, placeholderData: keepPreviousData });
}
