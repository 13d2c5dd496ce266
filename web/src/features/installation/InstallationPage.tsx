import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Alert, Button } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { SettingPart } from "@/api/schema";
import { useMe } from "@/shared/auth/useMe";
import { bytes, rate } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Card, Facts, Page } from "@/shared/ui/Page";

const SIZES: Record<string, (value: number) => string> = {
  line_bytes_per_second: rate,
  server_capacity_memory_bytes: bytes,
};

/** What the installation was started with, and where the rest is set. */
export function InstallationPage() {
  const { t } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["installation"],
    queryFn: async () => (await unwrap(api.GET("/api/admin/settings"))).settings,
  });
  return (
    <Page title={t("admin:installation.title")} intro={t("admin:installation.intro")}>
      <Loaded query={query}>
        {(settings) => (
          <div className="tiles wide">
            {[...new Set(settings.map((one) => one.section))].map((section) => (
              <Section
                key={section}
                name={section}
                settings={settings.filter((one) => one.section === section)}
              />
            ))}
            <Card title={t("admin:installation.elsewhere")}>
              <ul className="list">
                <li>
                  <Link to="/admin/receiving">{t("nav.receiving")}</Link>
                </li>
                <li>
                  <Link to="/admin/templates">{t("nav.templates")}</Link>
                </li>
                <li>
                  <Link to="/admin/channels">{t("nav.channels")}</Link>
                </li>
                <li>
                  <Link to="/admin/alerts" search={{ tab: "rules" }}>
                    {t("admin:alerts.rules")}
                  </Link>
                </li>
                <li>
                  <Link to="/admin/plans">{t("nav.plans")}</Link>
                </li>
                <li>
                  <Link to="/admin/roles">{t("nav.roles")}</Link>
                </li>
              </ul>
            </Card>
          </div>
        )}
      </Loaded>
    </Page>
  );
}

function Section({ name, settings }: { name: string; settings: SettingPart[] }) {
  const { t } = useTranslation(["app", "admin"]);
  const isMail = name === "mail";
  const hasServer = settings.some((one) => one.name === "smtp_host" && one.is_set);
  return (
    <Card
      title={word(t as never, "admin:installation.section", name)}
      extra={isMail && hasServer && <TestMail />}
    >
      {isMail && !hasServer && (
        <Alert
          type="warning"
          showIcon
          title={t("admin:installation.noMail")}
          style={{ marginBottom: 12 }}
        />
      )}
      <Facts
        rows={settings.map((one) => [
          <span key="n" title={one.variable}>
            {word(t as never, "admin:installation.name", one.name)}
          </span>,
          <Value key="v" setting={one} />,
        ])}
      />
    </Card>
  );
}

function Value({ setting }: { setting: SettingPart }) {
  const { t } = useTranslation(["app", "admin"]);
  const { value } = setting;
  if (!setting.is_set) return <span className="muted">{t("admin:installation.nothing")}</span>;
  if (value === null) return <>{t("admin:installation.secret")}</>;
  const shown: Record<string, string> = {
    true: t("admin:installation.on"),
    false: t("admin:installation.off"),
  };
  const written = SIZES[setting.name]?.(Number(value)) ?? shown[value] ?? plain(value);
  return (
    <>
      {written}{" "}
      {setting.is_default && (
        <span className="muted small">({t("admin:installation.isDefault")})</span>
      )}
    </>
  );
}

/** A number as short as it can be: 300 for 300.0. */
function plain(value: string): string {
  return /^\d+\.\d+$/.test(value) ? String(Number(value)) : value;
}

function TestMail() {
  const { t } = useTranslation(["app", "admin"]);
  const me = useMe();
  const send = useAct({
    call: () =>
      unwrap(
        api.POST("/api/notifications/send", {
          body: {
            user_id: me.id,
            subject: t("admin:installation.testSubject"),
            message: t("admin:installation.testMessage"),
          },
        }),
      ),
    done: t("admin:installation.testSent"),
  });
  return (
    <Button size="small" onClick={() => send.mutate(undefined)} loading={send.isPending}>
      {t("admin:installation.testMail")}
    </Button>
  );
}
