import { useNavigate, useSearch } from "@tanstack/react-router";
import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { Page } from "@/shared/ui/Page";
import { Orders } from "./Orders";
import { Receipts } from "./Receipts";
import { Statistics } from "./Statistics";

const TABS = ["statistics", "orders", "receipts"] as const;

/** The owner's figures, every order, and proofs that wait for somebody to look at them. */
export function FinancePage() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  return (
    <Page title={t("admin:finance.title")}>
      <section className="card">
        <Tabs
          activeKey={TABS.find((one) => one === search.tab) ?? "statistics"}
          onChange={(tab) => navigate({ to: ".", search: { tab } as never })}
          destroyOnHidden
          items={[
            { key: "statistics", label: t("admin:finance.statistics"), children: <Statistics /> },
            { key: "orders", label: t("admin:finance.orders"), children: <Orders /> },
            { key: "receipts", label: t("admin:finance.receipts"), children: <Receipts /> },
          ]}
        />
      </section>
    </Page>
  );
}
