import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

export const homeKey = ["home"] as const;
export const overviewKey = ["overview"] as const;

/** What a customer's pages show live; the stream keeps it fresh, this reads it at first. */
export const homeQuery = queryOptions({
  queryKey: homeKey,
  queryFn: () => unwrap(api.GET("/api/user/home")),
  staleTime: 30_000,
});

export const overviewQuery = queryOptions({
  queryKey: overviewKey,
  queryFn: () => unwrap(api.GET("/api/admin/overview")),
  staleTime: 30_000,
});
