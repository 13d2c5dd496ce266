export type Language = "zh-CN" | "en";
export const LANGUAGES: Language[] = ["zh-CN", "en"];
const KEPT = "derpman.language";

/** Returns the language somebody chose here, else his browser's, else Chinese. */
export function preferred(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "zh-CN" || kept === "en") return kept;
  return navigator.language.toLowerCase().startsWith("zh") || !navigator.language ? "zh-CN" : "en";
}

/** Keeps a choice in this browser. */
export function keep(language: Language): void {
  localStorage.setItem(KEPT, language);
}

/** The texts of each language: every page's, those of admins' pages, and those of antd's parts. */
export const texts = {
  common: { "zh-CN": () => import("./zh-CN"), en: () => import("./en") },
  staff: { "zh-CN": () => import("./zh-CN/admin"), en: () => import("./en/admin") },
  parts: { "zh-CN": () => import("antd/locale/zh_CN"), en: () => import("antd/locale/en_US") },
};
