import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { fetchFile, save } from "@/api/client";
import { useAct } from "./act";

/** Downloads all that is kept of somebody: of oneself, or for staff of whoever asked for it. */
export function TakeData({ userId }: { userId?: number }) {
  const { t } = useTranslation();
  const take = useAct({
    call: () => fetchFile(userId ? `/api/user/${userId}/personal_data` : "/api/user/personal_data"),
    after: save,
  });
  return (
    <Button loading={take.isPending} onClick={() => take.mutate(undefined)}>
      {t("account.takeData")}
    </Button>
  );
}
