// The playground: it signs in at the user pool, stores each prompt as a job, and shows the words as they come.
// Tokens stay in variables of this module. Whatever comes from elsewhere is shown as text, never as markup.

const HOME = document.baseURI; // the address of the API, with a slash at its end
const returned = new URLSearchParams(location.search);
const wasSignedIn = history.state?.signedIn; // a reload signs in again
history.replaceState(null, "", HOME); // a code leaves the address before anything else happens

const config = JSON.parse(document.querySelector("meta[name=lambda-router]").content);
const canSignIn = !config.missing.length && Boolean(crypto.subtle); // browsers have that on secure origins only
const STARTED = `sign-in ${HOME}`; // in sessionStorage, until the code is used
const tabs = new BroadcastChannel(`lambda-router ${HOME}`);
let session = null; // access, refresh, name, and renewAt in milliseconds
let stay = new AbortController(); // aborted at the end of the session, with all that was requested in it
let renewal = null; // the request for new tokens: a refresh token is good for one use
let view = null; // the job on the screen
let unsent = {}; // the body of a request that may have been stored, and its key
let waitUntil = 0; // when the server takes the next prompt

const $ = (id) => document.getElementById(id);
const say = (text) => $("status").textContent === text || ($("status").textContent = text);
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const texts = (...values) => values.filter((value) => value && typeof value === "string");
const secondsIn = (headers) => Math.min(Math.max(Number(headers.get("Retry-After")) || 0, 0), 3_600); // an hour at most
const problem = (title, detail, more) => Object.assign(new Error(title), { title, detail, status: 0 }, more);
const isForGood = ({ status = 0 }) => status >= 400 && status < 500 && status !== 429;

/** Reads a refusal: a problem, an error in OpenAI's or OAuth's form, or API Gateway's own message. */
function refusal({ status, headers }, body) {
  const { code, param, message } = body?.error?.message ? body.error : {};
  const [title] = texts(body?.title, code, body?.error && "The user pool refused", `HTTP ${status}`);
  const [detail] = texts(body?.detail, message, body?.error_description, body?.error, body?.message);
  const [requestId] = texts(headers.get("X-Request-Id"), body?.instance, headers.get("x-amzn-RequestId"));
  return problem(title, detail, { code, param, status, requestId, retryAfter: secondsIn(headers) });
}

async function send(address, { signal, seconds = 40, ...options } = {}) {
  const signals = [signal, seconds && AbortSignal.timeout(seconds * 1000)].filter(Boolean);
  const all = { cache: "no-store", credentials: "omit", signal: AbortSignal.any(signals), ...options };
  const response = await fetch(address, all).catch((error) => {
    signal?.throwIfAborted();
    throw problem("No connection", `${new URL(address, HOME).host} did not answer: ${error.message}`);
  });
  if (!response.ok) throw refusal(response, await response.json().catch(() => null));
  return response;
}

// Signing in: authorization code with PKCE (RFC 7636), and the nonce of OpenID Connect
const letters = { "+": "-", "/": "_", "=": "" };
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (letter) => letters[letter]);
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const ours = (parameters) => new URLSearchParams({ client_id: config.client_id, ...parameters });
const tell = (endpoint, form, options) =>
  send(`${config.domain}/oauth2/${endpoint}`, { method: "POST", body: ours(form), ...options });

async function signIn(go) {
  const [state, nonce, verifier] = [random(), random(), random()];
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  const proof = { state, nonce, code_challenge: base64url(hash), code_challenge_method: "S256" };
  const query = ours({ response_type: "code", redirect_uri: HOME, scope: config.scope, ...proof });
  sessionStorage.setItem(STARTED, JSON.stringify({ state, nonce, verifier })); // at once: the last of two clicks counts
  location[go](`${config.domain}/oauth2/authorize?${query}`);
}

async function finishSignIn() {
  const mine = JSON.parse(sessionStorage.getItem(STARTED));
  sessionStorage.removeItem(STARTED);
  const [error, code] = [returned.get("error"), returned.get("code")];
  if (!mine || returned.get("state") !== mine.state)
    throw problem("Sign-in refused", `This tab began no sign-in that could end so: ${error ?? "a code"}.`);
  if (error || !code) throw problem("Sign-in failed", texts(error, returned.get("error_description")).join(": "));
  const grant = { grant_type: "authorization_code", code, redirect_uri: HOME, code_verifier: mine.verifier };
  const issued = await (await tell("token", grant)).json();
  const about = await send(".well-known/oauth-protected-resource");
  const now = Date.parse(about.headers.get("Date")) || Date.now(); // the clock here may be hours off
  enter(issued, nameIn(issued.id_token, mine.nonce, (await about.json()).authorization_servers, now));
}

/** Checks an id token (OpenID Connect Core 3.1.3.7), which the pool sent over TLS, and returns the person's name. */
function nameIn(token, nonce, issuers, now) {
  const encoded = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(encoded), (byte) => byte.charCodeAt(0))));
  const isOurs = claims.aud === config.client_id && claims.token_use === "id" && issuers.includes(claims.iss);
  if (!isOurs || claims.nonce !== nonce || !(claims.exp * 1000 > now - 300_000))
    throw problem("Sign-in refused", "The id token is of another sign-in, client or user pool, or it has expired.");
  return texts(claims.email, claims["cognito:username"], claims.sub)[0];
}

function keep({ access_token, refresh_token, expires_in = 0 }, name) {
  const renewAt = Date.now() + (expires_in - Math.min(60, expires_in / 4)) * 1000;
  session = { access: access_token, refresh: refresh_token ?? session?.refresh, name, renewAt };
}
async function renew(its) {
  const grant = { grant_type: "refresh_token", refresh_token: its.refresh };
  const issued = await tell("token", grant).then((response) => response.json()).catch((error) => {
    if (session === its && isForGood(error)) leave(error);
    throw error;
  }).finally(() => (renewal = null));
  if (session === its) keep(issued, its.name);
}

function enter(issued, name) {
  keep(issued, name);
  history.replaceState({ signedIn: Boolean(session.refresh) }, "");
  document.body.className = "is-signed-in";
  $("person").textContent = name ?? "";
  $("prompt").focus();
  const named = ({ id }) => make("option", { value: id }, id);
  run(async () => $("model").replaceChildren(...(await fetchJson("v1/models"))[0].data.map(named)));
  run(listJobs);
}

/** Forgets the tokens, and what they showed. */
function leave(why) {
  view?.reading.abort();
  stay.abort();
  [session, view, stay] = [null, null, new AbortController()];
  history.replaceState(null, "");
  words.clear();
  for (const id of ["person", "status", "facts", "limits", "jobs", "model"]) $(id).replaceChildren();
  document.body.className = "is-signed-out";
  if (why) show(problem("You are signed out", texts(why.title, why.detail).join(": "), { requestId: why.requestId }));
}

async function signOut(isHere) {
  const token = session.refresh;
  if (isHere) tabs.postMessage("signed out");
  leave(isHere ? null : problem("it was done in another tab"));
  $("ask").reset();
  if (token) await tell("revoke", { token }, { seconds: 5, keepalive: true }).catch(() => null);
  if (token && isHere) location.assign(`${config.domain}/logout?${ours({ logout_uri: HOME })}`);
}

tabs.onmessage = ({ data }) => {
  if (data === "hello" && session?.refresh) tabs.postMessage("signed in");
  if (data === "signed in" && !session && canSignIn && !returned.size) signIn("replace"); // by the pool's cookie
  if (data === "signed out" && session) signOut(false);
};

// Requests to the API
async function request(path, options = {}, isRepeat = false) {
  if (session?.refresh && Date.now() > session.renewAt) await (renewal ??= renew(session));
  const its = session;
  if (!its) throw problem("You are signed out", "Sign in first.");
  const headers = { Accept: "application/json", ...options.headers, Authorization: `Bearer ${its.access}` };
  const signal = AbortSignal.any([stay.signal, options.signal ?? stay.signal]);
  return send(path, { ...options, headers, signal }).catch(async (error) => {
    if (error.status !== 401 || isRepeat) throw error;
    if (session === its) await (its.refresh ? (renewal ??= renew(its)) : leave(error));
    return session ? request(path, options, true) : Promise.reject(error);
  });
}
const fetchJson = (...its) => request(...its).then(async (response) => [await response.json(), response.headers]);

async function listJobs(cursor) {
  const shown = Math.min(Math.max($("jobs").childElementCount, 10), 100); // those stay
  const [page] = await fetchJson(`v1/jobs?${new URLSearchParams(cursor ? { limit: 10, cursor } : { limit: shown })}`);
  const focused = document.activeElement.closest("#jobs li")?.id;
  const rows = page.data.map(rowOf);
  $("jobs")[cursor ? "append" : "replaceChildren"](...rows);
  $("more").hidden = !page.has_more;
  $("more").onclick = () => run(() => listJobs(page.next_cursor));
  (cursor ? rows[0] : focused && $(focused))?.firstChild.focus();
}
function rowOf({ id, status, created_at, metadata, queue, result, error }) {
  const [model] = texts(metadata.model, result?.model, queue);
  const [text] = texts(error?.message, textOf({ result }), id);
  const minute = { weekday: "short", hour: "numeric", minute: "numeric" };
  const time = make("time", { dateTime: created_at }, new Date(created_at).toLocaleString([], minute));
  const state = make("b", { className: `is-${status}` }, status.replace("_", " "));
  const parts = [state, " ", make("bdi", {}, model), " ", time, " ", make("bdi", {}, text.slice(0, 200))];
  const row = make("li", { id }, make("button", { type: "button", onclick: () => run(() => openJob(id)) }, ...parts));
  const cancel = { type: "button", ariaLabel: `Cancel ${id}`, onclick: () => run(() => cancelJob(id)) };
  if (["queued", "in_progress"].includes(status)) row.append(make("button", cancel, "Cancel"));
  return row;
}

// One job. It is stored first and then read. Whatever ends the reading, it goes on and can be read again.
async function sendPrompt() {
  if (Date.now() < waitUntil || $("send").ariaDisabled) return;
  $("send").ariaDisabled = "true";
  const model = $("model").value;
  const body = JSON.stringify({ model, input: $("prompt").value, background: true, metadata: { model } });
  if (unsent.body !== body) unsent = { body, key: random() }; // with the same key, a repeat stores no second job
  const headers = { "Content-Type": "application/json", "Idempotency-Key": unsent.key };
  const post = () => fetchJson("v1/responses", { method: "POST", body, headers });
  const sent = post().catch((error) => (error.status ? Promise.reject(error) : post()));
  const [response, its] = await sent.finally(() => ($("send").ariaDisabled = null));
  [unsent, $("again").textContent] = [{}, ""];
  const [, left] = /;r=(\d+)/.exec(its.get("RateLimit")) ?? [];
  $("limits").textContent = left ? `You may send ${left} more right away.` : "";
  begin(response.id.replace("resp_", "job_"), its.get("X-Request-Id"));
  run(listJobs);
  await read(view);
}

function begin(id, requestId) {
  view?.reading.abort();
  view = { id, requestId, reading: new AbortController(), isRunning: false };
  words.clear();
  say("Sent.");
  $("facts").textContent = id;
  $("cancel").hidden = false;
}
async function openJob(id) {
  begin(id);
  const its = view;
  $("answer-title").focus();
  const [job] = await fetchJson(`v1/jobs/${id}`, { signal: its.reading.signal });
  [its.requestId, its.isRunning] = [job.request_id, !job.store]; // polling would use up a result that is not stored
  await (["queued", "in_progress"].includes(job.status) ? read(its) : finish(its, job));
}
async function cancelJob(id) {
  const [job] = await fetchJson(`v1/jobs/${id}`, { method: "DELETE" });
  if (view?.id === id && job.status === "cancelled") finish(view, job);
  await listJobs();
}

/** Reads a job until it is final: as one stream, or in short responses where nothing is streamed. */
async function read(its) {
  const { signal } = its.reading;
  watchPlace(its).catch(() => null); // the reader of the answer says what is wrong
  for (let [after, faults, streams, pause] = ["", 0, true, 0]; ; await sleep(pause)) {
    try {
      const stream = `v1/responses/${its.id.replace("job", "resp")}?stream=true${after && `&starting_after=${after}`}`;
      const page = `v1/jobs/${its.id}/events${after && `?after=${after}`}`;
      const headers = { Accept: "text/event-stream" };
      const response = await request(streams ? stream : page, { headers, signal, seconds: 0 });
      for await (const { type, id, data } of eventsIn(response)) {
        if (type === "error") throw problem("The stream broke off", data.message, { code: data.code });
        if (/^job$|completed|incomplete|failed/.test(type)) return run(listJobs), finish(its, data.response ?? data);
        [after, faults, its.isRunning] = [id ?? `${data.sequence_number}`, 0, true];
        if (type === "restarted") words.clear();
        words.add(texts(data.text, type === "response.output_text.delta" && data.delta).join(""));
        say(words.text ? "The model is writing." : "The model has started.");
      }
      if (streams) throw problem("The connection ended");
      pause = secondsIn(response.headers) || 0.3;
    } catch (error) {
      signal.throwIfAborted();
      const { code, param, status } = error;
      const isPage = streams && (param === "stream" || status === 404 || ["changed", "too_many_held"].includes(code));
      const isLost = code === "restarted" || (after && (param === "starting_after" || (status === 400 && !streams)));
      [pause, streams] = [0.5, streams && !isPage];
      if (isLost || isPage) [after] = ["", words.clear()];
      else if (code !== "still_running") {
        const isOver = ++faults > 6 || isForGood(error);
        pause = Math.max(error.retryAfter ?? 0, 2 ** faults / 2);
        say(`${error.title ?? "The connection was lost"}. ${isOver ? "The job goes on" : `Reading on in ${pause} s`}.`);
        if (isOver) throw error;
      }
    }
  }
}

/** Yields the server-sent events that matter here. The server is never silent for long. */
async function* eventsIn(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const wanted = /^(?:id: (.+)\n)?event: (\w+|response\.(?!created|queued)\w+(?:_text\.delta)?)\ndata: (.*)$/;
  for (let rest = ""; rest.length < 2 ** 24; await sleep(0)) { // the page lives on meanwhile
    const silence = setTimeout(() => reader.cancel().catch(() => null), 50_000);
    const { done, value } = await reader.read();
    clearTimeout(silence);
    if (done) return;
    rest += value;
    const blocks = value.includes("\n") ? rest.split("\n\n") : [rest]; // a long event comes in many parts
    rest = blocks.pop();
    for (const [, id, type, data] of blocks.map((block) => wanted.exec(block)).filter(Boolean))
      yield { id, type, data: JSON.parse(data) };
  }
  reader.cancel().catch(() => null);
  throw problem("The stream broke off", "It has an event without an end.");
}

/** Shows the place in line until the job runs. */
async function watchPlace(its) {
  for (let pause = 0.7; ; pause = Math.max(2, pause)) {
    await sleep(pause);
    if (its.isRunning || its.reading.signal.aborted) return;
    const [job, headers] = await fetchJson(`v1/jobs/${its.id}`, { signal: its.reading.signal });
    if (its.isRunning || job.status !== "queued") return;
    const seconds = Math.ceil((Date.parse(job.estimated_start_at) - Date.parse(headers.get("Date"))) / 1000);
    const start = Number.isNaN(seconds) ? "start unknown" : `expected to start in ${Math.max(seconds, 1)} s`;
    say(`${job.position ? `Place ${job.position} in line` : "Waiting"}, ${start}.`);
    pause = secondsIn(headers);
  }
}

function finish(its, end) {
  its.reading.abort();
  if (document.activeElement === $("cancel")) $("prompt").focus();
  $("cancel").hidden = true;
  const text = ["completed", "incomplete"].includes(end.status) ? textOf(end) : words.text;
  if (!text.startsWith(words.text)) words.clear();
  words.add(text.slice(words.text.length));
  const tokens = (end.usage ?? end.result?.usage)?.total_tokens;
  $("facts").textContent = texts(its.id, tokens > 0 && `${tokens} tokens`, end.incomplete_details?.reason).join(" · ");
  say(`The job is ${end.status}.`);
  if (end.error) show(problem(`The job is ${end.status}`, end.error.message, { requestId: its.requestId }));
}
const textOf = ({ output, result }) =>
  output?.flatMap((item) => item.content ?? []).map((its) => (its.type === "output_text" ? its.text : "")).join("") ??
  (result == null ? "" : result.text || JSON.stringify(result, null, 2));

/** The text of the answer. It grows once a frame, in blocks, so that no step of the browser takes long. */
const words = {
  clear: () => (Object.assign(words, { text: "", shown: 0, size: 0 }), $("words").replaceChildren()),
  add: (text) => ((words.text += text), (words.frame ||= text && requestAnimationFrame(words.paint))),
  paint() {
    const [{ text, shown, size }, box] = [words, $("words")];
    const isAtEnd = view?.isRunning && box.scrollTop + box.clientHeight > box.scrollHeight - 40;
    const line = size > 8_192 && text.indexOf("\n", shown) + 1; // a full block ends with a line, if there is one
    const end = Math.min(text.length, shown + 16_384, line || Infinity);
    words.shown = end + /[\udc00-\udfff]/.test(text[end] ?? ""); // not between the halves of a character
    if (!size) box.append(make("div"));
    box.lastChild.append(text.slice(shown, words.shown));
    words.size = words.shown === line || size > 49_152 ? 0 : size + words.shown - shown;
    if (isAtEnd || !shown) box.scrollTop = isAtEnd ? box.scrollHeight : 0;
    words.frame = words.shown < text.length && requestAnimationFrame(words.paint);
  },
};

// The page
function make(tag, its, ...parts) {
  const element = Object.assign(document.createElement(tag), its);
  element.append(...parts);
  return element;
}
async function run(action) {
  const its = session;
  $("problem").hidden = true; // below, the end of a session has been shown already
  await action().catch((error) => error.name === "AbortError" || (its && !session) || show(error));
}
function show({ title = "This did not work", detail, message, requestId, retryAfter = 0 }) {
  $("problem-title").textContent = title;
  $("problem-detail").textContent = detail ?? (message === title ? "" : message);
  $("problem-id").textContent = requestId ? `Request id: ${requestId}` : "";
  Object.assign($("problem"), { hidden: false }).scrollIntoView({ block: "nearest" });
  waitUntil = Date.now() + retryAfter * 1000;
  $("again").textContent = retryAfter ? `You may send again at ${new Date(waitUntil).toLocaleTimeString()}.` : "";
}

const submits = (form, action) => (form.onsubmit = (event) => (event.preventDefault(), run(action)));
submits($("ask"), sendPrompt);
submits($("paste"), async () => (enter({ access_token: $("token").value.trim() }), $("paste").reset()));
$("prompt").onkeydown = (event) => void (event.ctrlKey && event.key === "Enter" && $("ask").requestSubmit());
$("sign-in").onclick = () => run(() => signIn("assign"));
$("sign-out").onclick = () => run(() => signOut(true));
$("cancel").onclick = () => run(() => cancelJob(view.id));
$("refresh").onclick = () => run(() => listJobs());
$("sign-in").hidden = !($("paste").hidden = canSignIn);
$("missing").textContent = `Sign-in is not set up. Missing: ${config.missing.join(", ") || "HTTPS"}.`;
$("version").textContent = config.version;
addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // meanwhile others may have signed out
if (returned.has("code") || returned.has("error")) run(finishSignIn);
else if (canSignIn && wasSignedIn) signIn("replace");
else if (canSignIn) tabs.postMessage("hello");
