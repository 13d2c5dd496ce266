import { Button, Result, Spin } from "antd";
import { useTranslation } from "react-i18next";
import { Failed } from "@/shared/ui/Loaded";

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Result
      status="404"
      title={t("state.notFound")}
      subTitle={t("state.notFoundHint")}
      extra={
        <Button type="primary" href="/">
          {t("nav.home")}
        </Button>
      }
    />
  );
}

export function Crashed({ error }: { error: unknown }) {
  const { t } = useTranslation();
  return (
    <main className="door">
      <div className="stack door-card">
        <h1>{t("state.crash")}</h1>
        <p>{t("state.crashHint")}</p>
        <Failed error={error} retry={() => location.reload()} />
      </div>
    </main>
  );
}

export function Waiting() {
  const { t } = useTranslation();
  return (
    <div className="blank" role="status" aria-label={t("state.loading")}>
      <Spin size="large" />
    </div>
  );
}
