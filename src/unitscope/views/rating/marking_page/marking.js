"use strict";
/* Marks units by eye. What is marked is what the server says. */
(() => {
  const SILENT = "The server does not answer. Your marks so far are kept; try again when it is back.";
  const MARKS = { a: "artifact", f: "fine", u: "unsure" };
  const find = (name) => document.querySelector(`[data-${name}]`);

  async function request(path, body) {
    const options = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, options).catch(() => null);
    if (!answer) throw new Error(SILENT);
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(told.error ?? SILENT);
    return told;
  }

  function show({ units }) {
    for (const { unit, mark } of units) {
      for (const button of document.querySelectorAll(`[data-unit="${unit}"] button`)) {
        button.setAttribute("aria-pressed", String(button.dataset.mark === mark));
      }
    }
    const marked = units.filter((one) => one.mark).length;
    find("count").textContent = `${marked} of ${units.length} units are marked.`;
    find("trouble").textContent = "";
  }

  const tell = (error) => { find("trouble").textContent = error.message; };

  function mark(item, name) {
    const pressed = item.querySelector(`[data-mark=${name}]`).getAttribute("aria-pressed") === "true";
    request("api/mark", { unit: Number(item.dataset.unit), mark: pressed ? null : name }).then(show).catch(tell);
  }

  function list({ unit, text }) {
    const item = document.createElement("li");
    const caption = document.createElement("p");
    const image = new Image();
    const buttons = document.createElement("div");
    item.dataset.unit = unit;
    item.tabIndex = 0;
    caption.textContent = `Unit ${unit}${text ? `: ${text}` : ""}`;
    image.src = `api/pictures/${unit}.jpg`;
    image.alt = `Pictures that excite unit ${unit} most`;
    image.loading = "lazy";
    buttons.className = "marks";
    for (const name of Object.values(MARKS)) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.mark = name;
      button.textContent = name;
      button.addEventListener("click", () => mark(item, name));
      buttons.append(button);
    }
    item.append(caption, image, buttons);
    return item;
  }

  document.addEventListener("DOMContentLoaded", () => {
    request("api/units").then((told) => {
      find("units").replaceChildren(...told.units.map(list));
      show(told);
    }).catch(tell);
    document.addEventListener("keydown", (event) => {
      const name = MARKS[event.key.toLowerCase()];
      const item = document.activeElement?.closest?.("[data-unit]");
      if (!name || !item || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      mark(item, name);
      item.nextElementSibling?.focus();
    });
  });
})();
