"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  for (const part of document.querySelectorAll(".js-only")) part.hidden = false;

  // If the browser can't load a photo, its small picture is shown, or a message appears; the boxes and crops stay.
  const moved = (image) => {
    const photo = image.closest(".photo"), { small } = image.dataset;
    if (small) {
      delete image.dataset.small;
      if (photo) photo.querySelector(".instead").hidden = false;
      image.src = small;
      return;
    }
    if (photo) photo.querySelector(".moved").hidden = false;
    image.closest("li").classList.add("moved-away");
  };
  for (const image of document.querySelectorAll(".view img")) {
    if (image.complete && image.currentSrc && !image.naturalWidth) moved(image);
    image.addEventListener("error", () => moved(image));
  }

  const order = by("order");
  if (order) {
    const tiles = by("tiles"), was = [...tiles.children], faces = [...tiles.querySelectorAll("li")], lists = faces.map((face) => face.parentNode);
    const all = document.createElement("ol");
    all.className = "tiles";
    const sort = () => {
      const sign = { sure: -1, unsure: 1 }[order.value];
      if (sign) {
        all.append(...[...faces].sort((a, b) => sign * (a.dataset.sure - b.dataset.sure)));
        tiles.replaceChildren(all);
      } else {
        faces.forEach((face, i) => lists[i].append(face));
        tiles.replaceChildren(...was);
      }
    };
    order.addEventListener("change", sort);
    addEventListener("pageshow", sort);
  }

  // A photo that is shown large: ← and → go on to the next one, Escape closes it.
  const large = document.querySelectorAll(".photo");
  if (large.length) addEventListener("keydown", (event) => {
    const shown = document.querySelector(".photo:target"), step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!shown || event.ctrlKey || event.metaKey || event.altKey || !(step || event.key === "Escape")) return;
    const next = step ? large[[...large].indexOf(shown) + step] : shown.querySelector("a[id]");
    if (!next) return;
    event.preventDefault();
    location.replace(`#${next.id}`);
    (step ? next.querySelector("a") : next).focus({ preventScroll: Boolean(step) });
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
  const elsewhere = JSON.parse(by("search-index").textContent);  // [name, person, faces] of people on other pages
  const plain = (text) => text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");  // Zoe finds Zoë
  const names = cards.map((card) => plain(card.dataset.name));
  const show = () => {
    const words = plain(filter.value).split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.includes(word));
    let here = 0;
    cards.forEach((card, i) => {
      card.hidden = !fits(names[i]);
      here += !card.hidden;
    });
    const others = words.length ? elsewhere.filter(([name, person]) => fits(`${plain(name)} ${person}`)) : [];
    for (const part of document.querySelectorAll(".rest")) part.hidden = words.length > 0;
    by("found").textContent = words.length ? tn("%(n)s found", "%(n)s found", here + others.length) : "";
    by("elsewhere").replaceChildren(...others.slice(0, 100).map(([name, person, faces]) => {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = `people/person-${String(person).padStart(5, "0")}.html`;
      link.textContent = `${name} (${number(faces)})`;
      item.append(link);
      return item;
    }));
  };
  filter.addEventListener("input", show);
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    filter.value = "";
    show();
  });
  addEventListener("pageshow", show);  // a browser may put back what was typed before
  show();
  if (location.hash === "#filter") filter.focus();
})();
