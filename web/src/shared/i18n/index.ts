import i18next, { type TFunction } from "i18next";
import { initReactI18next } from "react-i18next";
import { ApiError } from "@/api/client";
import { moment, yuan } from "@/shared/format/format";
import { keep, type Language, preferred, texts } from "./language";

export { LANGUAGES, type Language, preferred } from "./language";

let withStaff = false;

async function load(language: Language): Promise<void> {
  if (!i18next.hasResourceBundle(language, "app")) {
    i18next.addResourceBundle(language, "app", (await texts.common[language]()).default);
  }
  if (withStaff && !i18next.hasResourceBundle(language, "admin")) {
    i18next.addResourceBundle(language, "admin", (await texts.staff[language]()).default);
  }
}

/** Starts with the preferred language; nothing is shown before its texts are here. */
export async function startLanguage(): Promise<void> {
  const language = preferred();
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    ns: ["app", "admin"],
    defaultNS: "app",
    resources: {},
    interpolation: { escapeValue: false }, // React escapes
    returnNull: false,
    react: { useSuspense: false },
  });
  await load(language);
  await choose(language);
}

/** Shows everything in another language, and keeps that choice in this browser. */
export async function choose(language: Language): Promise<void> {
  await load(language);
  keep(language);
  document.documentElement.lang = language;
  await i18next.changeLanguage(language);
}

/** Loads the texts of admins' pages, before the first of them is shown. */
export async function loadStaffTexts(): Promise<void> {
  withStaff = true;
  await load(i18next.language as Language);
}

/** Returns the text of a key that is put together at run time, or the value itself. */
export function word(
  t: TFunction<never>,
  prefix: string,
  value: string | null | undefined,
): string {
  if (!value) return "—";
  const key = `${prefix}.${value.replaceAll(".", "_")}`;
  return i18next.exists(key) ? (t as unknown as (key: string) => string)(key) : value;
}

/** Says what went wrong, by its code in the reader's language, else in the server's words. */
export function errorText(error: unknown): string {
  const t = i18next.t as unknown as (key: string, params?: object) => string;
  if (!(error instanceof ApiError)) return t("errors.unexpected");
  const key = `errors.${error.code.replaceAll(".", "_")}`;
  if (error.code === "request.invalid") return t(key, { fields: fieldsOf(error) });
  if (i18next.exists(key)) return t(key, shown(error.params));
  return error.message || t("errors.unexpected");
}

function fieldsOf(error: ApiError): string {
  const fields = error.params.fields as { field: string; message: string }[] | undefined;
  return (fields ?? [])
    .map((one) => `${one.field.replace(/^(body|query|path)\./, "")}: ${one.message}`)
    .join("; ");
}

function shown(params: Record<string, unknown>): Record<string, unknown> {
  const language = i18next.language;
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => {
      if (name.endsWith("_fen") && typeof value === "number") return [name, yuan(value)];
      if (typeof value !== "string") return [name, value];
      if (/^\d{4}-\d\d-\d\dT/.test(value)) return [name, moment(value, language)];
      return [name, reason(value)];
    }),
  );
}

/** Translates the few sentences that the server gives as a reason. */
function reason(sentence: string): string {
  const table = i18next.getResource(i18next.language, "app", "reasons") as
    | Record<string, string>
    | undefined;
  return table?.[sentence] ?? sentence;
}
