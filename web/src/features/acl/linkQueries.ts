import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

export const linkKey = ["link"] as const;

export const linkQuery = queryOptions({
  queryKey: [...linkKey, "one"],
  queryFn: async () => (await unwrap(api.GET("/api/acl/link"))).link,
  refetchInterval: (found) => (found.state.data?.status === "testing" ? 5000 : false),
});

export const pushesQuery = queryOptions({
  queryKey: [...linkKey, "pushes"],
  queryFn: async () =>
    (await unwrap(api.GET("/api/acl/pushes", { params: { query: { limit: 20 } } }))).pushes,
  refetchInterval: (found) =>
    found.state.data?.some((one) => one.status === "queued") ? 5000 : false,
});
