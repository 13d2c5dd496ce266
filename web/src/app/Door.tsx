import { Link, Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { Tongue } from "./Choices";

/** What surrounds the pages before the log-in. */
export function Door() {
  const { t } = useTranslation();
  return (
    <div className="door">
      <div className="stack door-card">
        <header className="row between">
          <Link to="/login" className="brand" style={{ padding: 0 }}>
            <img src="/favicon.svg" alt="" />
            <span>{t("product")}</span>
          </Link>
          <Tongue />
        </header>
        <main className="card">
          <Outlet />
        </main>
      </div>
    </div>
  );
}
