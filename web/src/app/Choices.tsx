import { BulbOutlined, TranslationOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { choose, type Language } from "@/shared/i18n";
import { type Appearance, useAppearance } from "@/shared/ui/theme";

/** One click to the other language: there are two. */
export function Tongue() {
  const { t, i18n } = useTranslation();
  const other: Language = i18n.language === "zh-CN" ? "en" : "zh-CN";
  return (
    <Button type="text" icon={<TranslationOutlined />} lang={other} onClick={() => choose(other)}>
      {t(`language.${other}`)}
    </Button>
  );
}

const NEXT: Record<Appearance, Appearance> = { system: "light", light: "dark", dark: "system" };

/** Light, dark, as the system: each click the next. */
export function Appearances() {
  const { t } = useTranslation();
  const { appearance, choose: set } = useAppearance();
  return (
    <Button
      type="text"
      icon={<BulbOutlined />}
      aria-label={`${t("theme.label")}: ${t(`theme.${appearance}`)}`}
      title={`${t("theme.label")}: ${t(`theme.${appearance}`)}`}
      onClick={() => set(NEXT[appearance])}
    />
  );
}
