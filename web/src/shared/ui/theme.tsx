import { App, ConfigProvider, theme as design } from "antd";
import type { Locale } from "antd/es/locale";
import { createContext, type ReactNode, use, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Language, texts } from "@/shared/i18n/language";
import { nonce } from "./nonce";
import { DARK, LIGHT } from "./tokens";

export type Appearance = "light" | "dark" | "system";
const KEPT = "derpman.appearance";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

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
          hashed: false, // as in the styles that are made when the pages are built
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
