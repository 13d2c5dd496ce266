import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { OverviewOut } from "@/api/types";
import { useRights } from "@/shared/auth/rights";
import { yuan } from "@/shared/format/format";
import { State } from "@/shared/ui/Page";
import { Figure } from "./Figure";

const AGAIN_MS = 60_000;

/** Today's money beside last week's, what waits for somebody, and whether the accounts agree. */
export function Business({ seen }: { seen: OverviewOut }) {
  const { mayAll } = useRights();
  const receipts = mayAll("finance.read");
  const applications = mayAll("distribution.read");
  return (
    <>
      {receipts && <Received />}
      {(receipts || applications) && (
        <Waits
          receipts={receipts ? seen.receipts_waiting : 0}
          applications={applications ? seen.applications_waiting : 0}
        />
      )}
      <Accounts
        traffic={seen.accounts_differ.traffic_drift ?? 0}
        money={seen.accounts_differ.ledger_differs ?? 0}
      />
    </>
  );
}

function Received() {
  const { t } = useTranslation(["app", "admin"]);
  const { data } = useQuery({
    queryKey: ["finance", "recent"],
    queryFn: () => unwrap(api.GET("/api/finance/statistics/recent")),
    refetchInterval: AGAIN_MS,
  });
  return (
    <Figure
      title={t("admin:overview.received")}
      value={data ? yuan(data.today.received_fen) : "…"}
      to="/admin/finance"
    >
      {data && (
        <span className="muted small">
          {t("admin:overview.receivedHint", {
            before: yuan(data.week_ago.received_fen),
            week: yuan(data.week.received_fen),
            weekBefore: yuan(data.week_before.received_fen),
          })}
        </span>
      )}
    </Figure>
  );
}

function Waits({ receipts, applications }: { receipts: number; applications: number }) {
  const { t } = useTranslation(["app", "admin"]);
  const [first, rest] =
    receipts > 0 || applications === 0
      ? (["/admin/finance", { tab: "receipts", status: "waiting" }] as const)
      : (["/admin/distributors", { tab: "applications", status: "pending" }] as const);
  return (
    <Figure
      title={t("admin:overview.waits")}
      value={receipts + applications}
      to={first}
      search={rest}
    >
      {receipts + applications === 0 && <State tone="good">{t("admin:overview.waitsNone")}</State>}
      {receipts > 0 && (
        <Link to="/admin/finance" search={{ tab: "receipts", status: "waiting" }}>
          <State tone="warn">
            {t("admin:overview.receipts")} {receipts}
          </State>
        </Link>
      )}
      {applications > 0 && (
        <Link to="/admin/distributors" search={{ tab: "applications", status: "pending" }}>
          <State tone="warn">
            {t("admin:overview.applications")} {applications}
          </State>
        </Link>
      )}
    </Figure>
  );
}

function Accounts({ traffic, money }: { traffic: number; money: number }) {
  const { t } = useTranslation(["app", "admin"]);
  if (traffic + money === 0)
    return (
      <Figure
        title={t("admin:overview.accounts")}
        value={t("admin:overview.accountsAgree")}
        to="/admin/alerts"
      >
        <State tone="good">{t("admin:overview.accountsFine")}</State>
      </Figure>
    );
  return (
    <Figure
      title={t("admin:overview.accounts")}
      value={t("admin:overview.accountsDiffer")}
      to="/admin/alerts"
      search={money > 0 ? { alert_type: "ledger_differs" } : { alert_type: "traffic_drift" }}
    >
      <State tone="bad">{t("admin:overview.accountsHint", { traffic, money })}</State>
    </Figure>
  );
}
