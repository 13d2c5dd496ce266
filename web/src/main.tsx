import "./app/app.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { client } from "./app/client";
import { router } from "./app/router";
import { startLanguage } from "./shared/i18n";
import { Design } from "./shared/ui/theme";

await startLanguage();
const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <Design>
        <RouterProvider router={router} />
      </Design>
    </QueryClientProvider>
  </StrictMode>,
);
