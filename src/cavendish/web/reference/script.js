// The reference page works without this: it adds finding, copying, and sending the examples.
"use strict";

const base = new URL(".", location.href).href.replace(/\/$/, "");
const keyField = document.getElementById("key");
const find = document.getElementById("find");

// Finding: the menu shows what holds every word.
find.hidden = false;
find.addEventListener("input", () => {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of document.querySelectorAll("aside li")) {
    const article = document.getElementById(item.querySelector("a").hash.slice(1));
    const text = article.textContent.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word));
  }
});

// Where the reader is, in the menu.
const links = new Map([...document.querySelectorAll("aside li a")].map((link) => [link.hash.slice(1), link]));
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    for (const link of links.values()) link.classList.remove("here");
    links.get(entry.target.id)?.classList.add("here");
  }
}, { rootMargin: "-15% 0px -75% 0px" });
document.querySelectorAll("article").forEach((article) => watcher.observe(article));

// Examples name this server, may be edited, copied and sent.
document.querySelector(".key").hidden = false;
keyField.value = sessionStorage.getItem("key") ?? "";
keyField.addEventListener("input", () => sessionStorage.setItem("key", keyField.value));

for (const figure of document.querySelectorAll("figure")) {
  const code = figure.querySelector("code");
  const copy = figure.querySelector(".copy");
  const send = figure.querySelector(".send");
  code.textContent = code.textContent.replace("{base}", base);
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    const word = copy.textContent;
    copy.textContent = "✓";
    setTimeout(() => { copy.textContent = word; }, 1200);
  });
  if (send === null) continue;
  send.hidden = false;
  figure.querySelector("pre").contentEditable = "true";
  figure.querySelector("pre").spellcheck = false;
  send.addEventListener("click", () => sendExample(figure, code.textContent, send));
}

async function sendExample(figure, text, button) {
  const url = text.match(/--url '([^']+)'/)?.[1] ?? "";
  const body = text.match(/--data '([\s\S]*)'\s*$/)?.[1];
  const headers = {};
  for (const [, name, value] of text.matchAll(/--header ["']([^:"']+): ([^"']*)["']/g)) {
    headers[name] = value.replace("$KEY", keyField.value);
  }
  button.disabled = true;
  let shown;
  try {
    const answer = await fetch(url, { method: text.includes("--request POST") ? "POST" : "GET", headers, body });
    shown = `${answer.status} ${answer.statusText}\n\n${pretty(await answer.text())}`;
  } catch (error) {
    shown = String(error);
  }
  button.disabled = false;
  let result = figure.nextElementSibling;
  if (result === null || !result.classList.contains("result")) {
    result = document.createElement("figure");
    result.className = "result";
    result.append(document.createElement("figcaption"), document.createElement("pre"));
    result.firstChild.textContent = "→";
    figure.after(result);
  }
  result.lastChild.textContent = shown.slice(0, 20000);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
