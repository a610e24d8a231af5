"use strict";
/* One question at a time. The server knows where a rater stands; the page shows it and sends answers. */

const unitscope = {};

(() => {
  const KEPT = "unitscope-rater";
  const LONG = 28;
  const SILENT = "The server does not answer. Your answers so far are kept; try again when it is back.";
  const KEYS = { y: "yes", n: "no", u: "undo", z: "undo", Backspace: "undo" };
  const find = (name) => document.querySelector(`[data-${name}]`);
  const all = (name) => [...document.querySelectorAll(`[data-${name}]`)];
  const pictures = new Map();
  let rater = null;
  let shown = null; /* the state whose question is on the screen, null while none is */
  let busy = false;

  class Refusal extends Error {
    constructor(message, status) {
      super(message);
      this.status = status;
    }
  }

  async function request(path, body) {
    const options = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, options).catch(() => { throw new Refusal(SILENT, 0); });
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    throw new Refusal(told.error ?? SILENT, answer.status);
  }

  const post = async (path, body) => (await request(path, body)).json();

  /* The address of a picture that has been fetched; each is fetched once. */
  function fetchPicture(number) {
    if (!pictures.has(number)) {
      const found = request(`api/pictures/${number}.jpg`)
        .then((answer) => answer.blob())
        .then((blob) => URL.createObjectURL(blob));
      found.catch(() => pictures.delete(number));
      pictures.set(number, found);
    }
    return pictures.get(number);
  }

  function drawTile(tile, address, place, count, mask) {
    const item = document.createElement("li");
    const frame = document.createElement("span");
    const image = new Image();
    item.className = "tile";
    frame.className = tile.width >= tile.height ? "picture wide" : "picture tall";
    frame.style.aspectRatio = `${tile.width} / ${tile.height}`;
    image.src = address;
    image.alt = `Picture ${place + 1} of ${count}, one region bright`;
    frame.append(image, unitscope.overlay(tile.runs, mask));
    item.append(frame);
    return { item, ready: image.decode() };
  }

  function turnTo(view) {
    document.body.dataset.state = view;
    for (const section of all("view")) section.hidden = section.dataset.view !== view;
    find("who").hidden = view === "name";
  }

  async function show(state) {
    shown = null;
    const { question, place, total } = state;
    if (question) {
      const addresses = await Promise.all(question.tiles.map((tile) => fetchPicture(tile.picture)));
      const tiles = question.tiles.map((tile, i) => drawTile(tile, addresses[i], i, addresses.length, question.mask));
      await Promise.all(tiles.map((tile) => tile.ready));
      find("pictures").style.setProperty("--across", Math.ceil(Math.sqrt(tiles.length)));
      find("pictures").replaceChildren(...tiles.map((tile) => tile.item));
      find("phrase").textContent = question.phrase;
      find("phrase").classList.toggle("long", question.phrase.length > LONG);
      find("swatch").style.setProperty("--color", question.color);
      find("kind").textContent = question.category;
      find("count").textContent = `${place + 1} of ${total}`;
    }
    find("name").textContent = state.name;
    find("progress").max = total;
    find("progress").value = place;
    for (const button of all("undo")) button.disabled = place === 0;
    turnTo(question ? "asking" : "done");
    find("thanks").textContent = `All ${total} questions are answered.`;
    find("said").textContent = question
      ? `Question ${place + 1} of ${total}: ${question.phrase}, ${question.category}?` : "All questions are answered.";
    if (!question) find("done").focus();
    document.body.dataset.place = place;
    shown = state;
    for (const number of state.ahead) fetchPicture(number).catch(() => {});
  }

  /* Do one thing at a time; what fails is told, and the next key begins by asking where we stand. */
  async function act(work) {
    if (busy) return;
    busy = true;
    const slow = setTimeout(() => { document.body.dataset.busy = ""; }, 250);
    try {
      await work();
      find("trouble").textContent = "";
    } catch (error) {
      if (error.status === 409) await post("api/begin", { name: rater }).then(show).catch(() => { shown = null; });
      find("trouble").textContent = error instanceof Refusal ? error.message : "A picture cannot be shown; try again.";
    } finally {
      clearTimeout(slow);
      delete document.body.dataset.busy;
      busy = false;
    }
  }

  const begin = (name) => act(async () => {
    const state = await post("api/begin", { name });
    rater = state.name;
    keep(rater);
    await show(state);
  });

  const choose = (what) => act(async () => {
    if (!shown) return show(await post("api/begin", { name: rater }));
    const { place } = shown;
    if (what === "undo") return place && show(await post("api/undo", { name: rater, place }));
    if (!shown.question) return undefined;
    const button = document.querySelector(`[data-answer=${what}]`);
    button.classList.add("pressed");
    try {
      return await show(await post("api/answer", { name: rater, place, answer: what }));
    } finally {
      button.classList.remove("pressed");
    }
  });

  function keep(name) {
    try {
      if (name) sessionStorage.setItem(KEPT, name);
      else sessionStorage.removeItem(KEPT);
    } catch { /* a browser that keeps nothing asks for the name again */ }
  }

  function recall() {
    try {
      return sessionStorage.getItem(KEPT);
    } catch {
      return null;
    }
  }

  function leave() {
    rater = shown = null;
    keep(null);
    find("trouble").textContent = "";
    find("progress").value = 0;
    turnTo("name");
    document.querySelector("#name").value = "";
    document.querySelector("#name").focus();
  }

  document.addEventListener("DOMContentLoaded", () => {
    find("begin").addEventListener("submit", (event) => {
      event.preventDefault();
      begin(document.querySelector("#name").value);
    });
    for (const button of all("answer")) button.addEventListener("click", () => choose(button.dataset.answer));
    for (const button of all("undo")) button.addEventListener("click", () => choose("undo"));
    find("leave").addEventListener("click", leave);
    document.addEventListener("keydown", (event) => {
      if (!rater || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      const what = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!what) return;
      event.preventDefault();
      choose(what);
    });
    const name = recall();
    if (name) begin(name);
    else document.querySelector("#name").focus();
  });
})();
