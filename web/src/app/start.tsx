import "virtual:antd.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { meQuery } from "@/shared/auth/session";
import { preferred, startLanguage } from "@/shared/i18n";
import { Design, localeOf } from "@/shared/ui/theme";
import { client } from "./client";
import { router } from "./router";

const PATIENCE_MS = 1000;

/** Shows the pages, once: nothing is rendered before its texts are here. */
export async function start(root: HTMLElement): Promise<void> {
  void client.prefetchQuery(meQuery);
  const [locale] = await Promise.all([localeOf(preferred()), startLanguage()]);
  // Drawn once, with its page; when that takes long, with the mark that something is on its way.
  await Promise.race([router.load(), new Promise((go) => setTimeout(go, PATIENCE_MS))]);
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <Design first={locale}>
          <RouterProvider router={router} />
        </Design>
      </QueryClientProvider>
    </StrictMode>,
  );
}
