import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Diff } from "@/shared/ui/Diff";
import { Card } from "@/shared/ui/Page";
import { changesQuery } from "./queries";

/** What is otherwise than in the version before; nothing where there was none. */
export function Changed() {
  const { t } = useTranslation();
  const { data } = useQuery(changesQuery);
  if (!data) return null;
  return (
    <Card title={t("acl.changed", { since: data.since })}>
      <Diff text={data.diff} none={t("acl.changedNone")} />
    </Card>
  );
}
