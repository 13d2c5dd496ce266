import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";

/** Every admin below the super admins. */
export const adminsQuery = queryOptions({
  queryKey: ["users", "admins"],
  queryFn: async () =>
    (await unwrap(api.GET("/api/user/list", { params: { query: { role: "admin", limit: 200 } } })))
      .users,
});
