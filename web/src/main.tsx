import "./app/app.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { client } from "./app/client";
import { router } from "./app/router";
import { meQuery } from "./shared/auth/session";
import { preferred, startLanguage } from "./shared/i18n";
import { Design, localeOf } from "./shared/ui/theme";

// What every page needs is asked for at once, not one after the other.
void client.prefetchQuery(meQuery);
const isDoor = /^\/(login|register|verify|reset)/.test(location.pathname);
void (isDoor ? import("./app/Door") : import("./app/Shell"));
if (location.pathname === "/") void import("./features/home/HomePage");
if (location.pathname === "/login") void import("./features/door/LoginPage");
const [locale] = await Promise.all([localeOf(preferred()), startLanguage()]);
const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <Design first={locale}>
        <RouterProvider router={router} />
      </Design>
    </QueryClientProvider>
  </StrictMode>,
);
