import { App, ConfigProvider, theme as design } from "antd";
import type { Locale } from "antd/es/locale";
import { createContext, type ReactNode, use, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Language, texts } from "@/shared/i18n/language";
import { nonce } from "./nonce";

export type Appearance = "light" | "dark" | "system";
const KEPT = "derpman.appearance";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

const FONTS =
  '-apple-system, BlinkMacSystemFont, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans", Roboto, sans-serif';

const SHARED = { borderRadius: 8, fontFamily: FONTS, fontSize: 14, motionDurationMid: "0.15s" };
// What antd's own greys and reds lack is contrast: texts are to be read at 4.5 to 1.
const LIGHT = {
  ...SHARED,
  colorPrimary: "#0f766e",
  colorInfo: "#0f766e",
  colorLink: "#0f766e",
  colorError: "#c81e2b",
  colorSuccess: "#15803d",
  colorWarning: "#b45309",
  colorBgLayout: "#f4f6f8",
  colorTextSecondary: "rgba(0,0,0,0.68)",
  colorTextTertiary: "rgba(0,0,0,0.62)",
  colorTextDescription: "rgba(0,0,0,0.65)",
  colorTextPlaceholder: "rgba(0,0,0,0.56)",
};
const DARK = {
  ...SHARED,
  colorPrimary: "#2dd4bf",
  colorInfo: "#2dd4bf",
  colorLink: "#5eead4",
  colorError: "#ff8a8a",
  colorSuccess: "#4ade80",
  colorWarning: "#fbbf24",
  colorBgLayout: "#0b1114",
  colorBgBase: "#11191d",
  colorTextLightSolid: "#07201d",
  colorTextSecondary: "rgba(255,255,255,0.72)",
  colorTextTertiary: "rgba(255,255,255,0.64)",
  colorTextDescription: "rgba(255,255,255,0.68)",
  colorTextPlaceholder: "rgba(255,255,255,0.6)",
};

const Chosen = createContext<{ appearance: Appearance; choose: (one: Appearance) => void }>({
  appearance: "system",
  choose: () => undefined,
});

/** The chosen appearance, and how to choose another. */
export function useAppearance() {
  return use(Chosen);
}

/** Loads the words of antd's own parts: given to the first render, nothing is rendered twice. */
export async function localeOf(language: Language): Promise<Locale> {
  return (await texts.parts[language]()).default;
}

function kept(): Appearance {
  const found = localStorage.getItem(KEPT);
  return found === "light" || found === "dark" ? found : "system";
}

/** Gives everything its colours and words; our own styles use the same colours. */
export function Design({ first, children }: { first: Locale; children: ReactNode }) {
  const [appearance, setAppearance] = useState<Appearance>(kept);
  const [systemDark, setSystemDark] = useState(dark.matches);
  const [locale, setLocale] = useState<Locale>(first);
  const { i18n } = useTranslation();
  const language = i18n.language as Language;

  useEffect(() => {
    const heard = () => setSystemDark(dark.matches);
    dark.addEventListener("change", heard);
    return () => dark.removeEventListener("change", heard);
  }, []);
  useEffect(() => {
    let current = true;
    localeOf(language).then((found) => current && setLocale(found));
    return () => {
      current = false;
    };
  }, [language]);

  const isDark = appearance === "dark" || (appearance === "system" && systemDark);
  const chosen = useMemo(
    () => ({
      appearance,
      choose: (one: Appearance) => {
        localStorage.setItem(KEPT, one);
        setAppearance(one);
      },
    }),
    [appearance],
  );
  return (
    <Chosen value={chosen}>
      <ConfigProvider
        csp={nonce ? { nonce } : {}}
        button={{ autoInsertSpace: false }} // a reader of the screen would spell the word
        locale={locale}
        theme={{
          algorithm: isDark ? design.darkAlgorithm : design.defaultAlgorithm,
          token: isDark ? DARK : LIGHT,
        }}
      >
        <App component={false}>
          <Colours isDark={isDark} />
          {children}
        </App>
      </ConfigProvider>
    </Chosen>
  );
}

function Colours({ isDark }: { isDark: boolean }) {
  const { token } = design.useToken();
  useEffect(() => {
    const style = document.documentElement.style;
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    style.colorScheme = isDark ? "dark" : "light";
    const colours = {
      text: token.colorText,
      muted: token.colorTextSecondary,
      line: token.colorBorderSecondary,
      surface: token.colorBgContainer,
      ground: token.colorBgLayout,
      primary: token.colorPrimary,
      link: token.colorLink,
      good: token.colorSuccess,
      bad: token.colorError,
      warn: token.colorWarning,
      fill: token.colorFillSecondary,
    };
    for (const [name, value] of Object.entries(colours)) style.setProperty(`--${name}`, value);
    style.setProperty("--font", token.fontFamily);
  }, [token, isDark]);
  return null;
}
