import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Alert } from "antd";
import { useTranslation } from "react-i18next";
import type { HomeOut } from "@/api/schema";
import { useMe } from "@/shared/auth/useMe";
import { day, daysUntil, moment } from "@/shared/format/format";
import { homeQuery } from "@/shared/live/keys";
import { Loaded } from "@/shared/ui/Loaded";
import { Card, Page } from "@/shared/ui/Page";
import { FirstSteps, isUnderWay } from "./FirstSteps";
import { Notices } from "./Notices";
import { QuotaCard } from "./QuotaCard";
import { RelayTiles } from "./RelayTiles";
import { Renew } from "./Renew";

/** The customer's first page: how to begin, or how everything is. */
export function HomePage() {
  const { t } = useTranslation();
  const query = useQuery(homeQuery);
  const me = useMe();
  return (
    <Page title={t("home.title")} intro={t("home.welcome", { name: me.username })}>
      <Loaded query={query}>{(home) => <Home home={home} />}</Loaded>
    </Page>
  );
}

function Home({ home }: { home: HomeOut }) {
  const { t } = useTranslation();
  const { rental } = home;
  return (
    <>
      {rental?.status === "suspended" && (
        <Alert
          type="warning"
          showIcon
          title={t("home.suspended", { reason: rental.end_reason ?? "—" })}
        />
      )}
      {isUnderWay(home) && <FirstSteps home={home} />}
      {rental && (
        <>
          <RelayTiles home={home} />
          <div className="tiles">
            <QuotaCard home={home} />
            <Term home={home} />
            <Online home={home} />
          </div>
        </>
      )}
      {home.rental && <Notices />}
    </>
  );
}

function Term({ home }: { home: HomeOut }) {
  const { t, i18n } = useTranslation();
  const rental = home.rental;
  if (!rental) return null;
  const days = daysUntil(rental.expires_at);
  return (
    <Card title={t("home.expiry")} extra={<Renew />}>
      <div className="figure-value">
        {days > 1 ? t("home.daysLeft", { count: days }) : t("home.expiresToday")}
      </div>
      <p className="muted">{moment(rental.expires_at, i18n.language)}</p>
      <dl className="facts">
        <dt>{t("home.plan")}</dt>
        <dd>{rental.plan}</dd>
        {rental.acl && (
          <>
            <dt>{t("home.aclVersion")}</dt>
            <dd>
              <Link to="/acl">{rental.acl.version}</Link>{" "}
              <span className="muted">
                {t("home.aclUntil", { date: day(rental.acl.expires_at, i18n.language) })}
              </span>
            </dd>
          </>
        )}
      </dl>
    </Card>
  );
}

function Online({ home }: { home: HomeOut }) {
  const { t } = useTranslation();
  const online = home.devices.filter((one) => one.connections?.length).length;
  return (
    <Card title={t("home.devicesOnline")} extra={<Link to="/devices">{t("home.step4Open")}</Link>}>
      <div className="figure-value">
        {t("home.devicesOf", { online, total: home.devices.length })}
      </div>
      <p className="muted">
        {t("home.deviceLimit", { count: home.devices.length, limit: home.device_limit ?? "—" })}
      </p>
      {home.knocks.length > 0 && (
        <Alert
          type="warning"
          showIcon
          title={t("home.waitingDevices", { count: home.knocks.length })}
        />
      )}
    </Card>
  );
}
