import { useQuery } from "@tanstack/react-query";
import { Link as RouterLink, useNavigate, useSearch } from "@tanstack/react-router";
import { Alert, Button, Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { CurrentPart } from "@/api/schema";
import { daysUntil, moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { homeKey, homeQuery } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card, Facts, Page, State } from "@/shared/ui/Page";
import { Address } from "./Address";
import { Applied } from "./Applied";
import { Changed } from "./Changed";
import { FileForm } from "./FileForm";
import { Downloads, Versions } from "./Histories";
import { Link } from "./Link";
import { Merge } from "./Merge";
import { currentQuery } from "./queries";
import { Regions } from "./Regions";

/** How the customer's tailnet gets his three relays. */
export function AclPage() {
  const { t } = useTranslation();
  const query = useQuery(currentQuery);
  return (
    <Page title={t("acl.title")} intro={t("acl.intro")}>
      <Loaded query={query}>
        {(current) =>
          current ? (
            <Ways current={current} />
          ) : (
            <Card>
              <Blank title={t("acl.none")} hint={t("acl.noneHint")}>
                <RouterLink to="/">{t("home.step2")}</RouterLink>
              </Blank>
            </Card>
          )
        }
      </Loaded>
      <Versions />
      <Downloads />
    </Page>
  );
}

const WAYS = ["automatic", "snippet", "merge", "address", "file"] as const;

function Ways({ current }: { current: CurrentPart }) {
  const { t, i18n } = useTranslation();
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const way = WAYS.find((one) => one === search.way) ?? "snippet";
  return (
    <>
      <Card title={t("acl.current")} extra={<Regions current={current} />}>
        <Facts
          rows={[
            [
              t("field.version"),
              <State key="v" tone={current.is_offered ? "good" : "bad"}>
                {t("acl.version", { version: current.version })}
              </State>,
            ],
            [t("acl.made"), moment(current.created_at, i18n.language)],
            [
              t("acl.ends"),
              `${moment(current.ends_at, i18n.language)} (${t("acl.endsIn", { count: daysUntil(current.ends_at) })})`,
            ],
            [t("acl.regions"), current.region_ids.join(" · ")],
            [
              t("acl.digest"),
              <span key="d" className="mono" title={current.digest}>
                {current.digest.slice(0, 16)}…
              </span>,
            ],
          ]}
        />
        {!current.is_offered && (
          <Alert
            type="warning"
            showIcon
            style={{ marginTop: 12 }}
            title={t("acl.notOffered", { reason: word(t as never, "errors", current.reason) })}
          />
        )}
      </Card>
      <Applied current={current} />
      <Changed />
      {current.is_offered && (
        <>
          <Warn />
          <Card title={t("acl.how")}>
            <Tabs
              activeKey={way}
              onChange={(key) => navigate({ to: "/acl", search: { way: key }, replace: true })}
              items={[
                { key: "automatic", label: t("acl.automatic"), children: <Link /> },
                {
                  key: "snippet",
                  label: t("acl.snippet"),
                  children: <FileForm form="snippet" version={current.version} />,
                },
                { key: "merge", label: t("acl.merge"), children: <Merge /> },
                { key: "address", label: t("acl.headscaleAddress"), children: <Address /> },
                {
                  key: "file",
                  label: t("acl.headscaleFile"),
                  children: <FileForm form="headscale_yaml" version={current.version} />,
                },
              ]}
            />
          </Card>
        </>
      )}
    </>
  );
}

function Warn() {
  const { t } = useTranslation();
  const { data: home } = useQuery(homeQuery);
  const open = useAct({
    call: () => unwrap(api.POST("/api/security/pairing", { body: { minutes: 10 } })),
    changes: [homeKey],
    done: t("devices.pairingStarted"),
  });
  if (!home?.rental) return null;
  return (
    <Alert
      type={home.devices.length ? "info" : "warning"}
      showIcon
      title={t("acl.warn")}
      description={t("acl.warnText", { count: home.devices.length })}
      action={
        !home.pairing.is_open && (
          <Button onClick={() => open.mutate(undefined)} loading={open.isPending}>
            {t("acl.openPairing")}
          </Button>
        )
      }
    />
  );
}
