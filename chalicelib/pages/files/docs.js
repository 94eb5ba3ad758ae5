"use strict";
// Swagger UI over this deployment's own document. The sign-in is added here and not in the document, so that clients
// generated from openapi.json stay as they are. Tokens stay in this page's memory.
(async () => {
  const facts = JSON.parse(document.querySelector('meta[name="lambda-router"]').content);
  const message = document.getElementById("message");
  const address = (path) => new URL(path, document.baseURI).href; // below a stage or a base path, too

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", followScheme);
  followScheme();

  if (typeof SwaggerUIBundle === "undefined") {
    message.textContent = "This package has no Swagger UI: build it with make package or make deploy-dev. " +
      `The document itself is at ${address("openapi.json")}.`;
    return;
  }
  let spec;
  try {
    const response = await fetch(address("openapi.json"));
    spec = await response.json();
    if (!response.ok) throw new Error(`${spec.title} (${spec.instance})`);
  } catch (error) {
    message.textContent = `The OpenAPI document cannot be fetched: ${error.message}`;
    return;
  }
  for (const operations of Object.values(spec.paths)) {
    delete operations.head; // the same as GET, without the content
    for (const operation of Object.values(operations)) {
      operation.summary = operation.summary?.replaceAll("`", ""); // summaries are no Markdown here
    }
  }
  if (facts.missing.length) {
    message.textContent = `Nobody can sign in here, because ${facts.missing.join(" and ")} ` +
      "is not set or cannot be read: paste a token below Authorize.";
  } else {
    addSignIn(spec);
  }
  const root = document.getElementById("swagger-ui");
  new MutationObserver(() => giveNames(root)).observe(root, { childList: true, subtree: true });
  const ui = SwaggerUIBundle({
    dom_id: "#swagger-ui",
    spec,
    validatorUrl: null,
    oauth2RedirectUrl: address("docs/oauth2-redirect"),
    persistAuthorization: false,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0, // sixty schemas, below the operations
    requestInterceptor: asASimpleRequest,
  });
  ui.initOAuth({
    clientId: facts.client_id ?? "",
    scopes: facts.scope,
    usePkceWithAuthorizationCodeGrant: true,
  });

  function addSignIn(document) {
    const scopes = Object.fromEntries(facts.scope.split(" ").map((scope) => [scope, ""]));
    document.components.securitySchemes = {
      sign_in: {
        type: "oauth2",
        description: "Sign in at the user pool. The token stays in this page, and ends with it.",
        flows: {
          authorizationCode: {
            authorizationUrl: `${facts.domain}/oauth2/authorize`,
            tokenUrl: `${facts.domain}/oauth2/token`,
            scopes,
          },
        },
      },
    };
    for (const operations of Object.values(document.paths)) {
      for (const operation of Object.values(operations)) {
        if (operation.security?.length) operation.security = [{ sign_in: Object.keys(scopes) }];
      }
    }
  }

  // With this header of Swagger UI's, the browser would ask the pool's domain for its leave first.
  function asASimpleRequest(request) {
    if (request.url === `${facts.domain}/oauth2/token`) delete request.headers["X-Requested-With"];
    return request;
  }

  // Swagger UI leaves some of its controls without a name for screen readers, or out of the keyboard's reach.
  function giveNames(root) {
    const names = {
      ".close-modal": "Close",
      "select#servers": "Server",
      ".body-param__text": "Request body",
      ".content-type": "Content type",
      ".try-out-timeout": "Timeout",
      ".parameters-col_description select": "Value",
      ".response-controls select": "Media type of the response",
    };
    for (const [selector, name] of Object.entries(names)) {
      for (const element of root.querySelectorAll(selector)) {
        if (!element.ariaLabel) element.ariaLabel = name;
      }
    }
    for (const button of root.querySelectorAll("button.modal-btn[aria-label]")) {
      button.removeAttribute("aria-label"); // it differs from the words on the button
    }
    for (const code of root.querySelectorAll("pre.microlight:not([tabindex]), .highlight-code > pre:not([tabindex])")) {
      code.tabIndex = 0; // it scrolls
    }
  }
})();
