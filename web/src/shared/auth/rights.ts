import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import { useMe } from "./useMe";

/** What an admin's own role permits; the server decides, pages only leave out what it would refuse. */
export const rightsQuery = queryOptions({
  queryKey: ["me", "rights"],
  queryFn: () => unwrap(api.GET("/api/security/my_permissions")),
  staleTime: 60_000,
});

export type Rights = {
  /** Whether he may, about customers of his own at least. */
  may: (permission: string) => boolean;
  /** Whether he may about everything, and not about his own customers only. */
  mayAll: (permission: string) => boolean;
  /** Whether he sees his own customers and nothing else. */
  ownOnly: boolean;
};

/** The rights of whoever is logged in; an admin's are none until they have been asked for. */
export function useRights(): Rights {
  const me = useMe();
  const { data } = useQuery({ ...rightsQuery, enabled: me.role === "admin" });
  const may = (permission: string) =>
    me.role === "super_admin" ||
    (me.role === "admin" &&
      Boolean(data && (data.is_everything || data.permissions.includes(permission))));
  const ownOnly = me.role === "admin" && Boolean(data?.has_own_only);
  return { may, mayAll: (permission) => may(permission) && !ownOnly, ownOnly };
}
