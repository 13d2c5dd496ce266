import type { UseQueryResult } from "@tanstack/react-query";
import { Alert, Button, Skeleton } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { errorText } from "@/shared/i18n";

/** Shows what a query brought; a skeleton until then, and what to do when it failed. */
export function Loaded<T>({
  query,
  children,
}: {
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
}) {
  const { t } = useTranslation();
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.isError) return <Failed error={query.error} retry={() => query.refetch()} />;
  return (
    <div aria-busy="true" aria-label={t("state.loading")} role="status">
      <Skeleton active paragraph={{ rows: 4 }} />
    </div>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation();
  return (
    <Alert
      type="error"
      showIcon
      title={t("state.failed")}
      description={errorText(error)}
      action={retry && <Button onClick={retry}>{t("action.retry")}</Button>}
    />
  );
}
