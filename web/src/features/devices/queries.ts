import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

export const devicesKey = ["devices"] as const;

export const removedQuery = queryOptions({
  queryKey: [...devicesKey, "removed"],
  queryFn: () => unwrap(api.GET("/api/security/devices", { params: { query: { removed: true } } })),
});

export const blockedQuery = queryOptions({
  queryKey: [...devicesKey, "blocked"],
  queryFn: () =>
    unwrap(
      api.GET("/api/security/knocks", { params: { query: { status: "blocked", limit: 100 } } }),
    ),
});
