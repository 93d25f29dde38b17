// Swagger UI, set up for reading. Its dark colours go by a class, not by what the system prefers.
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

// The live feed has no end, so Swagger UI would never show it.
const hasEnd = () => ({
  statePlugins: {
    spec: {
      wrapSelectors: {
        allowTryItOutFor: (allowed) => (state, path, method) => !path.endsWith("/stream") && allowed(path, method),
      },
    },
  },
});

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  syntaxHighlight: { theme: "nord" },
  validatorUrl: null,
  plugins: [hasEnd],
});
