import { QueryClient } from "@tanstack/react-query";
import { ApiError, onLoggedOut } from "@/api/client";
import { meQuery } from "@/shared/auth/session";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: true,
      retry: (failures, error) =>
        failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
  },
});

onLoggedOut(() => {
  if (client.getQueryData(meQuery.queryKey)) client.setQueryData(meQuery.queryKey, null);
});
