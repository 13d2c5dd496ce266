import { useNavigate, useSearch } from "@tanstack/react-router";
import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { Page } from "@/shared/ui/Page";
import { Load } from "./Load";
import { Moves } from "./Moves";

const TABS = ["moves", "load"] as const;

/** Relays on their way to other servers, and which servers have room. */
export function MovesPage() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  return (
    <Page title={t("admin:moves.title")} intro={t("admin:moves.intro")}>
      <section className="card">
        <Tabs
          activeKey={TABS.find((one) => one === search.tab) ?? "moves"}
          onChange={(tab) => navigate({ to: ".", search: { tab } as never })}
          destroyOnHidden
          items={[
            { key: "moves", label: t("admin:moves.moves"), children: <Moves /> },
            { key: "load", label: t("admin:moves.load"), children: <Load /> },
          ]}
        />
      </section>
    </Page>
  );
}
