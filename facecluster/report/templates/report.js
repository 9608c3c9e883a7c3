"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  for (const part of document.querySelectorAll(".js-only")) part.hidden = false;

  // If the browser can't load a photo, a message appears; the boxes and crops stay.
  const moved = (image) => { image.closest(".photo").querySelector(".moved").hidden = false; };
  for (const image of document.querySelectorAll(".view img")) {
    if (image.complete && image.currentSrc && !image.naturalWidth) moved(image);
    image.addEventListener("error", () => moved(image));
  }

  const reverse = by("reverse");
  if (reverse) reverse.addEventListener("click", () => {
    const tiles = by("tiles");
    tiles.append(...[...tiles.children].reverse());
    const least = reverse.textContent === t("Least sure first");
    by("order").textContent = least ? t("the least sure first") : t("the surest first");
    reverse.textContent = least ? t("Surest first") : t("Least sure first");
  });

  const filter = by("filter");
  if (!filter) return;
  const cards = [...document.querySelectorAll(".cards > li")];
  const elsewhere = JSON.parse(by("search-index").textContent);  // [name, identity, faces] of people on other pages
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.includes(word));
    let here = 0;
    for (const card of cards) {
      card.hidden = !fits(card.dataset.name);
      here += !card.hidden;
    }
    const others = words.length ? elsewhere.filter(([name, identity]) => fits(`${name.toLowerCase()} ${identity}`)) : [];
    by("found").textContent = words.length ? tn("%(n)s found", "%(n)s found", here + others.length) : "";
    by("elsewhere").replaceChildren(...others.slice(0, 100).map(([name, identity, faces]) => {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = `people/person-${String(identity).padStart(5, "0")}.html`;
      link.textContent = `${name} (${number(faces)})`;
      item.append(link);
      return item;
    }));
  };
  filter.addEventListener("input", show);
  if (filter.value) show();
  if (location.hash === "#filter") filter.focus();
})();
