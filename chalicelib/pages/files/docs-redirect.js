"use strict";
// The return of a sign-in that Swagger UI has started, in the window that it opened for it.
(() => {
  const answer = new URLSearchParams(location.search);
  history.replaceState(null, "", location.pathname); // before anything else, the code leaves the address
  const started = startedSignIn();
  if (!started) {
    document.getElementById("message").textContent = "This window belongs to no sign-in. Close it, and start again.";
    return;
  }
  const refuse = (message) => started.errCb({ authId: started.auth.name, source: "auth", level: "error", message });
  if (!started.state || answer.get("state") !== started.state) {
    refuse("This is not the answer to the sign-in that was started; it was ignored. Start again.");
  } else if (answer.get("code")) {
    started.auth.code = answer.get("code");
    started.callback({ auth: started.auth, redirectUrl: started.redirectUrl });
  } else {
    const words = ["error", "error_description"].map((name) => answer.get(name)).filter(Boolean);
    refuse(`The sign-in failed: ${words.join(": ") || "the answer has no code"}`);
  }
  delete started.state; // one answer each
  window.close();

  function startedSignIn() {
    try {
      return window.opener?.swaggerUIRedirectOauth2;
    } catch {
      return undefined; // the opener is of another origin
    }
  }
})();
