// A person from year to year: a row of bars that leads to each year, the date of birth, and the person's photos by date.

import { get } from "./api.js";
import { app, counted, el, label, pager, tray } from "./parts.js";
import { day, t, tn } from "./text.js";

const LIMIT = 60;

/** The date of a face or photo, and the age then. */
export const when = (thing) => [day(thing.taken.slice(0, 10)), thing.age].filter(Boolean).join(", ");

const address = (page, id, query) => `#/${page}/${id}${Object.values(query).some(Boolean) ? `?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}` : ""}`;

/** The years of a person as bars, each a link to the faces or photos of that year; and links between faces and photos. */
export function timeline(page, { person, years }, query) {
  const most = Math.max(...years.map((y) => y.faces));
  const bar = ({ year, faces, ages }) => {
    const value = year ? `${year}` : "none";
    const chosen = query.year === value;
    const text = `${year || t("Without a date")}: ${counted.faces(faces)}${ages ? `, ${ages}` : ""}`;
    return el(
      "a", { class: `year h${Math.max(1, Math.round((faces / most) * 10))}`, key: `year-${value}`, href: address(page, person.id, { year: chosen ? "" : value, ...(page === "person" ? { order: "date", said: query.said } : {}) }), title: text, "aria-label": text, "aria-current": chosen ? "true" : undefined },
      el("span", {}, year ? `${year}` : t("no date")), years.some((y) => y.ages) ? el("span", { class: "dim cut" }, ages || "\u00a0") : null,
    );
  };
  const other = page === "person" ? el("a", { href: address("album", person.id, { year: query.year }), key: "album" }, t("Photos by date")) : el("a", { href: `#/person/${person.id}`, key: "faces" }, t("Faces"));
  return el(
    "nav", { class: "timeline", id: "timeline", "aria-label": t("Years of %(name)s", { name: label(person) }) },
    years.length > 1 ? el("div", { class: "bars" }, ...years.map(bar)) : null,
    el("p", {}, other, query.year ? el("a", { href: `#/${page}/${person.id}`, key: "all-years" }, t("All years")) : null),
  );
}

/** A field for the date of birth: leaving it, or Enter, saves it; emptied it takes the date away. */
export function birthField(person) {
  const save = ({ target }) => {
    if (app.updating || target.value === target.dataset.saved || target.validity.badInput) return;
    const date = target.value, before = target.dataset.saved;
    target.dataset.saved = date;
    app.act({ act: "born", person: person.id, date }, date ? t("Born %(day)s", { day: day(date) }) : t("Date of birth removed")).then((done) => {
      if (!done) target.value = target.dataset.saved = before;
    });
  };
  const input = el("input", {
    type: "date", value: person.born, key: `born-${person.id}`, "data-saved": person.born, min: "1800-01-01", onblur: save,
    onkeydown: (event) => { if (event.key === "Enter") save(event); },
  });
  return el("label", {}, el("span", {}, t("Born")), input);
}

/** A box in shares of the photo, in shares of its tile, which shows the middle of the photo in another shape; null if it is outside. */
function inTile([x, y, w, h], shape, ratio) {
  const wide = Math.max(1, shape / ratio), high = Math.max(1, ratio / shape); // the photo's sides, where the tile's are 1
  const cut = (start, size, scale) => [start, start + size].map((at) => Math.min(1, Math.max(0, (at - 0.5) * scale + 0.5)));
  const [left, right] = cut(x, w, wide), [top, bottom] = cut(y, h, high);
  return right > left && bottom > top ? [left, top, right - left, bottom - top] : null;
}

function tile(photo) {
  const known = photo.width && photo.height;
  const shape = known ? Math.min(35, Math.max(4, Math.round((photo.width / photo.height) * 10))) : 13;
  const boxes = known ? photo.boxes.map((box) => inTile(box, photo.width / photo.height, shape / 10)).filter(Boolean) : [];
  const missing = ({ target }) => target.classList.add("none");
  return el(
    "li", { class: `s${shape}`, "data-id": photo.id, "data-face": photo.face },
    el(
      "a", { href: `#/photo/${photo.face}`, key: `photo-${photo.id}`, "aria-label": `${photo.name}, ${when(photo) || t("without a date")}`, title: photo.uri },
      el("img", { src: `/small/${encodeURIComponent(photo.id)}`, alt: "", loading: "lazy", decoding: "async", draggable: "false", onerror: missing }),
      ...boxes.map((box, i) => el("span", { class: "face-box", "data-box": box.join(" "), key: `box-${photo.id}-${i}` })),
    ),
    el("p", { class: "dim cut" }, when(photo) || photo.name),
  );
}

function total(n, year) {
  if (year === "none") return tn("%(n)s photo without a date", "%(n)s photos without a date", n);
  return year ? tn("%(n)s photo of %(year)s", "%(n)s photos of %(year)s", n, { year }) : tn("%(n)s photo, by date", "%(n)s photos, by date", n);
}

/** The photos of a person by date, under years. */
export async function drawAlbum(query, current) {
  const found = await get("album", { ...query, limit: LIMIT });
  if (!current()) return;
  tray();
  const of = (photo) => photo.taken.slice(0, 4);
  const years = [...new Set(found.photos.map(of))];
  const told = Object.fromEntries(found.years.map((y) => [y.year ? `${y.year}` : "", y.ages]));
  return [
    el("h1", {}, label(found.person)),
    el("p", { class: "dim" }, total(found.total, query.year)),
    timeline("album", found, query),
    ...years.flatMap((year) => [
      el("h2", { key: `of-${year}` }, year || t("Without a date"), told[year] ? el("span", { class: "dim" }, ` ${told[year]}`) : null),
      el("ul", { class: "album", "aria-label": year ? t("Photos of %(year)s", { year }) : t("Photos without a date"), key: `album-${year}` }, ...found.photos.filter((photo) => of(photo) === year).map(tile)),
    ]),
    pager({ year: query.year, offset: query.offset }, found.total, LIMIT, (next) => app.go(`album/${found.person.id}`, next)),
  ];
}
