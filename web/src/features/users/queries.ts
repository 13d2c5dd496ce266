import { queryOptions } from "@tanstack/react-query";
import { api, unwrapList } from "@/api/client";
import type { UsersOut } from "@/api/schema";

/** Every admin below the super admins. */
export const adminsQuery = queryOptions({
  queryKey: ["users", "admins"],
  queryFn: async () =>
    (
      await unwrapList<UsersOut>(
        api.GET("/api/user/list", { params: { query: { role: "admin", limit: 200 } } }),
      )
    ).users,
});
