// The active decisions, newest first; each can be undone.

import { get } from "./api.js";
import { app, counted, crop, el, pager, tray } from "./parts.js";
import { day, moment, t, tn } from "./text.js";

const LIMIT = 60;
const WORDS = {
  draw: t("Drew a face"), "not-a-face": t("Not a face"), "too-unclear": t("Too unclear"), "ignore-face": t("Ignored a face"), merge: t("Merged"), split: t("Split off"), same: t("Confirmed as one person"), "not-same": t("Confirmed as different people"), ignore: t("Ignored"),
};

const born = (d) => (d.date ? t("Born %(day)s", { day: day(d.date) }) : t("Date of birth removed"));

export const describe = (d) => (d.act === "born" ? born(d) : d.act === "name" ? (d.name ? t("Named %(name)s", { name: d.name }) : t("Name removed")) : d.act === "not-named" ? t("Not %(name)s", { name: d.name }) : WORDS[d.act] || d.act);

function line(d) {
  const undo = () => app.act({ act: "undo", of: d.id }, t("Undone: %(what)s", { what: describe(d) }));
  const time = new Date(d.at);
  return el(
    "li", { "data-id": d.id },
    d.face ? crop(d.face, 48) : null, d.other ? crop(d.other, 48) : null,
    el("span", { class: "grow" }, el("strong", {}, describe(d)), el("span", { class: "dim" }, ` ${d.who && d.act !== "name" ? t("%(faces)s of %(name)s", { faces: counted.faces(d.faces), name: d.who }) : counted.faces(d.faces)}`)),
    el("time", { class: "dim", datetime: d.at }, Number.isNaN(time.getTime()) ? d.at : moment(time)),
    el("button", { type: "button", class: "small", key: `undo-${d.id}`, "aria-label": t("Undo: %(what)s", { what: describe(d) }), onclick: undo }, t("Undo")),
  );
}

export async function draw(query, current) {
  const found = await get("history", { ...query, limit: LIMIT });
  if (!current()) return;
  tray();
  return [
    el("h1", {}, t("History")),
    el("p", { class: "dim" }, tn("%(n)s decision. All are saved in the store, and 'facecluster cluster' uses them for its next grouping.", "%(n)s decisions. All are saved in the store, and 'facecluster cluster' uses them for its next grouping.", found.total)),
    el("ol", { class: "history", "aria-label": t("Decisions, newest first") }, ...found.decisions.map(line)),
    pager(query, found.total, LIMIT, (next) => app.go("history", next)),
  ];
}
