import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

export const salesKey = ["sales"] as const;

/** A distributor's own figures. */
export const summaryQuery = queryOptions({
  queryKey: [...salesKey, "summary"],
  queryFn: () => unwrap(api.GET("/api/admin/my/summary")),
});
