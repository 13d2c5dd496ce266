import { Alert, Button } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { CurrentPart } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { useAct } from "@/shared/ui/act";
import { Card, State } from "@/shared/ui/Page";
import { aclKey } from "./queries";

/** Which version the tailnet uses and how we know; what stops when, while it uses one before. */
export function Applied({ current }: { current: CurrentPart }) {
  const { t, i18n } = useTranslation();
  const { applied, former } = current;
  const isUpToDate = applied !== null && applied.version >= current.version;
  const tell = useAct({
    call: () => unwrap(api.POST("/api/acl/applied", { body: { version: current.version } })),
    changes: [aclKey],
    done: t("acl.appliedTold"),
  });
  return (
    <Card
      title={t("acl.applied")}
      extra={
        !isUpToDate && (
          <Button onClick={() => tell.mutate(undefined)} loading={tell.isPending}>
            {t("acl.iPasted", { version: current.version })}
          </Button>
        )
      }
    >
      {applied ? (
        <>
          <State tone={isUpToDate ? "good" : "warn"}>
            {t("acl.version", { version: applied.version })}
          </State>
          <p className="muted small">
            {t(`acl.evidence.${applied.evidence}`)} · {moment(applied.since, i18n.language)}
          </p>
        </>
      ) : (
        <p className="muted">{t("acl.appliedUnknown")}</p>
      )}
      {former.map((one) => (
        <Alert
          key={one.version}
          showIcon
          style={{ marginTop: 8 }}
          type={isUpToDate ? "info" : "warning"}
          title={t("acl.formerEnds", {
            version: one.version,
            date: moment(one.ends_at, i18n.language),
          })}
          description={one.relays.map((at) => `${at.address}:${at.port}`).join(" · ")}
        />
      ))}
    </Card>
  );
}
