import "./app/app.css";
import { askEarly } from "./api/early";
import { preferred, texts } from "./shared/i18n/language";

// This file is small: the program, the texts, the first page and what it shows are on their way at
// once, before any of them has run. What a page needs here is what its route would load anyway.
const FIRST: Record<string, [page: () => Promise<unknown>, ...asks: string[]]> = {
  "/login": [() => import("./features/door/LoginPage")],
  "/": [() => import("./features/home/HomePage"), "/api/user/home"],
  "/devices": [() => import("./features/devices/DevicesPage"), "/api/user/home"],
  "/admin": [() => import("./features/overview/OverviewPage")],
  "/admin/users": [() => import("./features/users/UsersPage"), "/api/user/list?limit=20"],
  "/sales": [
    () => import("./features/sales/SalesPage"),
    "/api/admin/my/summary",
    "/api/admin/my/applications?limit=20",
  ],
};
const path = location.pathname.replace(/(.)\/$/, "$1");
const language = preferred();
const program = import("./app/start");
const [page, ...asks] = FIRST[path] ?? [];
for (const one of ["/api/user/me", ...(location.search ? [] : asks)]) askEarly(one);
void texts.common[language]();
void texts.parts[language]();
if (path.startsWith("/admin")) void texts.staff[language]();
void (/^\/(login|register|verify|reset)/.test(path) ? import("./app/Door") : import("./app/Shell"));
void page?.();
const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");
void program.then(({ start }) => start(root)); // no await: the program imports what is here
