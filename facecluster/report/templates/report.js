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
    const least = reverse.textContent === "Least sure first";
    by("order").textContent = least ? "the least sure first" : "the surest first";
    reverse.textContent = least ? "Surest first" : "Least sure first";
  });

  const only = by("only");
  const choose = () => {
    for (const tile of document.querySelectorAll("[data-words]")) tile.hidden = Boolean(only.value) && !tile.dataset.words.split("\n").includes(only.value);
  };
  if (only) {
    only.addEventListener("change", choose);
    choose(); // a browser that goes back keeps what was chosen
  }

  const filter = by("filter");
  if (!filter) return;
  const cards = [...document.querySelectorAll(".cards > li")];
  const elsewhere = JSON.parse(by("search-index").textContent);  // [name, number, faces] of people on other pages
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.includes(word));
    let here = 0;
    for (const card of cards) {
      card.hidden = !fits(card.dataset.name);
      here += !card.hidden;
    }
    const others = words.length ? elsewhere.filter(([name, number]) => fits(`${name.toLowerCase()} ${number}`)) : [];
    by("found").textContent = words.length ? `${here + others.length} found` : "";
    by("elsewhere").replaceChildren(...others.slice(0, 100).map(([name, number, faces]) => {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = `people/person-${String(number).padStart(5, "0")}.html`;
      link.textContent = `${name} (${faces})`;
      item.append(link);
      return item;
    }));
  };
  filter.addEventListener("input", show);
  if (filter.value) show();
  if (location.hash === "#filter") filter.focus();
})();
