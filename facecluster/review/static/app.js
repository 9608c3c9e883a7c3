// Routing between pages, the header, keyboard shortcuts, and a regular check for changes by others.

import { get, post } from "./api.js";
import { describe, draw as drawHistory } from "./history.js";
import { app, counted, el, place, selectAll, tickOne } from "./parts.js";
import { draw as drawPeople, key as peopleKey } from "./people.js";
import { draw as drawPhoto, key as photoKey, leave as leavePhoto } from "./photo.js";
import { draw as drawPerson, drawNobody, drawUnclear } from "./person.js";
import { draw as drawQuestions, key as answerKey, leave } from "./questions.js";
import { draw as drawRegroup, key as regroupKey, showProgress } from "./regroup.js";
import { draw as drawSuggestions, key as suggestionKey, leave as leaveSuggestions } from "./suggestions.js";
import { number, t, tn } from "./text.js";
import { drawAlbum } from "./time.js";
import { update } from "./update.js";

const CHECK_INTERVAL = 2500; // ms between two checks for changes
const main = document.getElementById("main");
const undo = document.getElementById("undo");
const pages = { people: drawPeople, person: drawPerson, album: drawAlbum, questions: drawQuestions, suggestions: drawSuggestions, photo: drawPhoto, nobody: drawNobody, unclear: drawUnclear, history: drawHistory, regroup: drawRegroup };
const keys = { people: peopleKey, questions: answerKey, suggestions: suggestionKey, person: suggestionKey, photo: photoKey, regroup: regroupKey }; // of pages: gives whether a key means something there
let turn = 0; // number of the newest request to draw: a late answer must not overwrite a newer page
let drawn = ""; // version that is shown

history.replaceState(null, "", `/${location.hash}`); // remove the token from the address, where others could read it

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

function announce(text) {
  const place = document.getElementById("status");
  place.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => place.replaceChildren(), 6000);
  app.fail(null);
}

app.say = announce;

let waiting = 0; // actions that the server has not answered
let last = Promise.resolve();

/** Carry out an action after those before it, announce it, and draw the result of all; returns the server's answer, or false if it failed. */
app.act = (action, message) => {
  waiting += 1;
  turn += 1; // a page that is on its way does not know of it
  const done = last.then(async () => {
    try {
      const made = await post(action);
      announce([message, ...made.notes].join(". "));
      return made;
    } catch (error) {
      app.fail(error);
      return false;
    } finally {
      waiting -= 1;
      if (!waiting) await app.refresh();
    }
  });
  last = done.catch(() => {});
  return done;
};

function drawHeader(state) {
  app.state = state;
  document.getElementById("counts").textContent = [
    counted.people(state.people), tn("%(n)s named", "%(n)s named", state.named), counted.faces(state.faces), tn("%(n)s unknown", "%(n)s unknown", state.nobody),
    ...(state.unclear ? [tn("%(n)s too unclear to tell", "%(n)s too unclear to tell", state.unclear)] : []),
    ...(state.since > 0 ? [tn("%(n)s decision since run %(run)s", "%(n)s decisions since run %(run)s", state.since, { run: number(state.run) })] : []),
  ].join(" · ");
  showProgress(state.regroup);
  document.getElementById("unclear").hidden = !state.unclear;
  undo.disabled = !state.undo;
  undo.setAttribute("aria-label", state.undo ? t("Undo: %(what)s", { what: describe(state.undo) }) : t("Nothing to undo"));
}

app.refresh = async () => {
  const mine = ++turn;
  const current = () => mine === turn;
  const [page, query] = route();
  if (page !== "questions") leave();
  if (keys[page] !== suggestionKey) leaveSuggestions();
  if (page !== "photo") leavePhoto();
  for (const link of document.querySelectorAll("nav [data-page]")) {
    if (link.dataset.page === (page === "person" || page === "album" ? "people" : page)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const state = await get("state");
    if (!current()) return;
    drawHeader(state);
    const parts = await pages[page](query, current);
    if (!parts || !current()) return;
    drawn = state.version;
    redraw(parts.filter(Boolean));
    document.title = t("%(page)s – facecluster review", { page: main.querySelector("h1").textContent });
    main.dataset.version = state.version;
  } catch (error) {
    if (!current()) return;
    app.fail(error);
    if (page === "person" || page === "album") redraw([el("h1", {}, t("This person does not exist any more")), el("a", { href: "#/people" }, t("Show all people"))]);
  }
};

/** Show the page; what stays on it keeps the focus and what is being typed. */
function redraw(parts) {
  const active = document.activeElement;
  const inside = active !== main && main.contains(active);
  app.updating = true;
  update(main, parts);
  app.updating = false;
  for (const mark of main.querySelectorAll("[data-box]")) place(mark);
  if (inside && !main.contains(active)) main.focus({ preventScroll: true });
}

/** Open the photo of the face that has the focus, or that the mouse is on; returns whether there is one. */
function openPhoto() {
  const face = (document.activeElement.closest("[data-face]") || document.querySelector("[data-face]:hover"))?.dataset.face;
  if (face) app.go(`photo/${face}`);
  return Boolean(face);
}

const typing = (e) => e && (e.tagName === "SELECT" || (e.tagName === "INPUT" && e.type !== "checkbox"));

/** Whether a redraw would disturb the user: a name is being typed, or a list is open. */
function busy() {
  const active = document.activeElement;
  if (!typing(active) || active.type === "search") return false;
  return active.tagName === "SELECT" ? CSS.supports("selector(:open)") && active.matches(":open") : active.value.trim() !== (active.dataset.saved || "");
}

let away = false; // the last check had no answer, as when the disk of the store was away

async function checkForChanges() {
  if (document.hidden || waiting || busy()) return;
  const state = await get("state").catch((error) => {
    away = true;
    app.fail(error);
  });
  if (state && away) {
    away = false;
    app.fail(null);
    await app.refresh();
  } else if (state && showProgress(state.regroup) && route()[0] === "regroup") await app.refresh();
  else if (state && drawn && state.version !== drawn) await app.refresh();
}

undo.addEventListener("click", () => {
  const last = app.state.undo;
  if (last) app.act({ act: "undo", of: last.batch || last.id }, t("Undone: %(what)s", { what: describe(last) }));
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "a" && !typing(event.target) && selectAll()) event.preventDefault();
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(event.target)) return;
  const letter = event.key.toLowerCase();
  if (letter === " " && /^(BUTTON|INPUT|SUMMARY)$/.test(event.target.tagName)) return; // it presses that
  if (letter === "u" && !undo.disabled) undo.click();
  else if (letter === "/" && document.getElementById("search")) document.getElementById("search").focus();
  else if (!keys[route()[0]]?.(letter) && !(letter === "x" && tickOne()) && !(letter === " " && openPhoto())) return;
  event.preventDefault();
});
window.addEventListener("hashchange", () => {
  app.fail(null);
  document.getElementById("more").hidden = true;
  app.refresh();
});
setInterval(checkForChanges, CHECK_INTERVAL);
app.refresh();
