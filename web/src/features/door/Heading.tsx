import { useEffect } from "react";
import { useTranslation } from "react-i18next";

/** The heading of a page before the log-in, which names the browser's tab as well. */
export function Heading({ children }: { children: string }) {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = `${children} · ${t("brand")}`;
  }, [children, t]);
  return <h1>{children}</h1>;
}
