import { queryOptions } from "@tanstack/react-query";
import { ApiError, api, unwrap } from "@/api/client";
import type { UserOut } from "@/api/schema";

export type Me = UserOut;

/** Who is logged in; null when nobody is. */
export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async (): Promise<Me | null> => {
    try {
      return (await unwrap(api.GET("/api/user/me"))).user;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** Admins of either kind. */
export function isStaff(me: Me | null | undefined): boolean {
  return me?.role === "admin" || me?.role === "super_admin";
}
