import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

export const aclKey = ["acl"] as const;

export const currentQuery = queryOptions({
  queryKey: [...aclKey, "current"],
  queryFn: async () => (await unwrap(api.GET("/api/acl/current"))).acl,
});

export const changesQuery = queryOptions({
  queryKey: [...aclKey, "changes"],
  queryFn: async () => (await unwrap(api.GET("/api/acl/changes"))).changes,
});

export const addressQuery = queryOptions({
  queryKey: [...aclKey, "address"],
  queryFn: async () => (await unwrap(api.GET("/api/acl/address"))).address,
});

export const versionsQuery = infiniteQueryOptions({
  queryKey: [...aclKey, "versions"],
  queryFn: ({ pageParam }) =>
    unwrap(api.GET("/api/acl/versions", { params: { query: { before: pageParam, limit: 20 } } })),
  initialPageParam: undefined as number | undefined,
  getNextPageParam: (page) => page.next_before ?? undefined,
});

export const downloadsQuery = infiniteQueryOptions({
  queryKey: [...aclKey, "downloads"],
  queryFn: ({ pageParam }) =>
    unwrap(api.GET("/api/acl/downloads", { params: { query: { before: pageParam, limit: 20 } } })),
  initialPageParam: undefined as number | undefined,
  getNextPageParam: (page) => page.next_before ?? undefined,
});
