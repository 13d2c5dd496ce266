import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Select } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { word } from "@/shared/i18n";
import { Loaded } from "@/shared/ui/Loaded";
import { Page, State } from "@/shared/ui/Page";
import { Editor } from "./Editor";

/** The mails' wordings: choose one, change it, see what it makes of samples. */
export function TemplatesPage() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const query = useQuery({
    queryKey: ["templates"],
    queryFn: async () => (await unwrap(api.GET("/api/notifications/templates"))).templates,
  });
  return (
    <Page title={t("admin:templates.title")} intro={t("admin:templates.intro")}>
      <Loaded query={query}>
        {(templates) => {
          const names = [...new Set(templates.map((one) => one.name))];
          const name = names.find((one) => one === search.name) ?? names[0] ?? "";
          const locales = templates.filter((one) => one.name === name);
          const locale = locales.find((one) => one.locale === search.locale)?.locale ?? "zh-CN";
          const go = (to: Record<string, string>) =>
            navigate({ to: ".", search: { name, locale, ...to } as never, replace: true });
          return (
            <>
              <div className="row">
                <Select
                  showSearch={{ optionFilterProp: "label" }}
                  aria-label={t("admin:mails.template")}
                  value={name}
                  style={{ minWidth: 260 }}
                  onChange={(one) => go({ name: one })}
                  options={names.map((one) => ({
                    value: one,
                    label: word(t as never, "admin:templates.name", one),
                  }))}
                />
                <Select
                  aria-label={t("admin:channels.locale")}
                  value={locale}
                  style={{ minWidth: 130 }}
                  onChange={(one) => go({ locale: one })}
                  options={locales.map((one) => ({
                    value: one.locale,
                    label: t(`language.${one.locale as "zh-CN" | "en"}`),
                  }))}
                />
                <State
                  tone={locales.find((one) => one.locale === locale)?.is_edited ? "warn" : "off"}
                >
                  {locales.find((one) => one.locale === locale)?.is_edited
                    ? t("admin:templates.edited")
                    : t("admin:templates.builtIn")}
                </State>
              </div>
              {name && <Editor key={`${name} ${locale}`} name={name} locale={locale} />}
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}
