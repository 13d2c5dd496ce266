import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

/** The plans; staff see retired ones as well. */
export const plansQuery = queryOptions({
  queryKey: ["plans"],
  queryFn: async () => (await unwrap(api.GET("/api/finance/plans"))).plans,
  staleTime: 60_000,
});
