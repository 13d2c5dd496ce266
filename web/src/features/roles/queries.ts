import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

export const rolesKey = ["roles"] as const;

export const rolesQuery = queryOptions({
  queryKey: rolesKey,
  queryFn: async () => (await unwrap(api.GET("/api/security/roles"))).roles,
});

/** Every permission there is, with its words. */
export const permissionsQuery = queryOptions({
  queryKey: ["permissions"],
  queryFn: async () => (await unwrap(api.GET("/api/security/permissions"))).permissions,
  staleTime: 600_000,
});
