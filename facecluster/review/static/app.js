// Which page is shown, what stands above it, keys, and a look now and then whether others have acted.

import { get, post } from "./api.js";
import { draw as drawHistory, told } from "./history.js";
import { app, count, el } from "./parts.js";
import { draw as drawPeople } from "./people.js";
import { draw as drawPerson, drawNobody } from "./person.js";
import { draw as drawQuestions, key as answerKey, leave } from "./questions.js";

const EVERY = 2500; // ms between two looks
const main = document.getElementById("main");
const undo = document.getElementById("undo");
const pages = { people: drawPeople, person: drawPerson, questions: drawQuestions, nobody: drawNobody, history: drawHistory };
let turn = 0; // of drawing: an answer that comes late must not overwrite a newer page
let drawn = ""; // version that is shown

history.replaceState(null, "", `/${location.hash}`); // the token need not stand in the address, where others may read it

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, id] = path.split("/");
  const found = Object.fromEntries(new URLSearchParams(query || ""));
  if (id) found.id = decodeURIComponent(id);
  return pages[page] ? [page, found] : ["people", {}];
}

app.go = (path, query = {}) => {
  const filled = Object.entries(query).filter(([key, value]) => key !== "id" && value !== "" && value !== undefined && value !== 0);
  location.hash = `#/${path}${filled.length ? `?${new URLSearchParams(filled)}` : ""}`;
};

app.fail = (error) => {
  document.getElementById("problem").textContent = error ? error.message : "";
};

let fading;

function say(text) {
  const place = document.getElementById("status");
  place.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => place.replaceChildren(), 6000);
  app.fail(null);
}

/** Do something, say so, and show what has become of it; whether it was done. */
app.act = async (request, said) => {
  try {
    const made = await post(request);
    say([said, ...made.notes].join(". "));
  } catch (error) {
    app.fail(error);
    await app.refresh();
    return false;
  }
  await app.refresh();
  return true;
};

function above(state) {
  app.state = state;
  document.getElementById("counts").textContent = [
    count(state.people, "person", "people"), `${state.named.toLocaleString("en")} named`, count(state.faces, "face"), `${state.nobody.toLocaleString("en")} of nobody known`,
    ...(state.since > 0 ? [`${count(state.since, "decision")} since run ${state.run}`] : []),
  ].join(" · ");
  undo.disabled = !state.undo;
  undo.setAttribute("aria-label", state.undo ? `Undo: ${told(state.undo)}` : "Undo: nothing to take back");
}

app.refresh = async () => {
  const mine = ++turn;
  const current = () => mine === turn;
  const [page, query] = route();
  if (page !== "questions") leave();
  for (const link of document.querySelectorAll("nav [data-page]")) {
    if (link.dataset.page === (page === "person" ? "people" : page)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const state = await get("state");
    if (!current()) return;
    above(state);
    const parts = await pages[page](query, current);
    if (!parts || !current()) return;
    drawn = state.version;
    replace(parts.filter(Boolean));
    document.title = `${main.querySelector("h1").textContent} – facecluster review`;
    main.dataset.version = state.version;
  } catch (error) {
    if (!current()) return;
    app.fail(error);
    if (page === "person") replace([el("h1", {}, "This person is not there any more"), el("a", { href: "#/people" }, "To the people")]);
  }
};

/** Draw anew, and leave the focus, and what is being typed in a search, where it was. */
function replace(parts) {
  const active = document.activeElement;
  const key = active && active.dataset ? active.dataset.key : undefined;
  const typed = active && active.tagName === "INPUT" && active.type !== "checkbox" ? [active.value, active.selectionStart, active.selectionEnd] : null;
  const inside = main.contains(active);
  main.replaceChildren(...parts);
  if (!key || !inside) return;
  const again = main.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!again) return main.focus({ preventScroll: true });
  again.focus({ preventScroll: true });
  if (typed && again.tagName === "INPUT" && again.type === "search") {
    again.value = typed[0];
    again.setSelectionRange(typed[1], typed[2]);
  }
}

const typing = (e) => e && (e.tagName === "SELECT" || (e.tagName === "INPUT" && e.type !== "checkbox"));

/** Whether drawing anew would take something from under the user's hands. */
function busy() {
  const active = document.activeElement;
  if (!typing(active) || active.type === "search") return false;
  return active.tagName === "SELECT" ? CSS.supports("selector(:open)") && active.matches(":open") : active.value.trim() !== (active.dataset.saved || "");
}

async function look() {
  if (document.hidden || busy()) return;
  const state = await get("state").catch((error) => app.fail(error));
  if (state && drawn && state.version !== drawn) await app.refresh();
}

undo.addEventListener("click", () => {
  const last = app.state.undo;
  if (last) app.act({ act: "undo", of: last.batch || last.id }, `Taken back: ${told(last)}`);
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(event.target)) return;
  const letter = event.key.toLowerCase();
  if (letter === "u" && !undo.disabled) undo.click();
  else if (letter === "/" && document.getElementById("search")) document.getElementById("search").focus();
  else if (!answerKey(letter)) return;
  event.preventDefault();
});
window.addEventListener("hashchange", () => {
  app.fail(null);
  app.refresh();
});
setInterval(look, EVERY);
app.refresh();
