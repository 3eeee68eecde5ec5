"use strict";
// What a script adds to every page: ages that grow, parts that stay fresh, the search box by keys, Copy.
const loaded = performance.now();
const body = document.body;
let clock = Number(body.dataset.now);
let clockSet = loaded;
const now = () => clock + performance.now() - clockSet;

// Ages, in the words of the server (clock.py); what is a day away has its date and stays.
const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const age = (seconds) => {
  const [size, unit] = units.find(([each]) => seconds >= each) || [1, "s"];
  return `${Math.floor(seconds / size)} ${unit}`;
};
const tick = () => {
  for (const time of document.querySelectorAll("time[data-at]")) {
    const seconds = Math.floor((now() - Number(time.dataset.at)) / 1000);
    const words = seconds >= 0 ? `${age(seconds)} ago` : `in ${age(-seconds)}`;
    if (time.textContent !== words) time.textContent = words;
  }
};
setInterval(tick, 1000);

// "/" and Ctrl-K go to the search box.
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
  const control = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  const field = document.querySelector("[data-find]");
  if (field && (slash || control)) { event.preventDefault(); field.focus(); field.select(); }
});
for (const hint of document.querySelectorAll(".find kbd")) hint.hidden = false;

// The zone of this browser, which the server cannot know by itself.
for (const field of document.querySelectorAll("[data-mine]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  for (const button of field.form.querySelectorAll("[value=mine]")) button.hidden = false;
}

const showCopies = () => { for (const button of document.querySelectorAll(".copy")) button.hidden = !navigator.clipboard; };
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try { await navigator.clipboard.writeText(button.dataset.copy); } catch { return; }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
showCopies();

// Parts marked data-live are replaced by what the server says now, unless a person is just using one of them.
const lost = document.getElementById("lost");
const say = (text, link) => {
  if (lost.textContent === text && !lost.hidden) return;
  lost.textContent = text;
  if (link) lost.append(" ", Object.assign(document.createElement("a"), { href: link, textContent: "Log in" }));
  lost.hidden = false;
};
const inUse = (part) => part.contains(document.activeElement) || part.querySelector(":checked, [open]") !== null;
const refresh = async () => {
  const own = document.querySelector("main [data-live]") !== null && !body.dataset.posted;
  const answer = await fetch(own ? window.location.href : body.dataset.frame, {
    headers: { "X-Live": "1" }, redirect: "error", signal: AbortSignal.timeout(15000),
  });
  if (answer.status === 401) { say("You are logged out.", body.dataset.login); return false; }
  if (answer.status === 404 || answer.status === 405) return false;
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  clock = Number(page.body.dataset.now);
  clockSet = performance.now();
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || inUse(part)) continue;
    if (part.id === "menu") keepCurrent(part, fresh);
    if (part.innerHTML !== fresh.innerHTML) part.replaceWith(document.importNode(fresh, true));
  }
  showCopies();
  tick();
  lost.hidden = true;
  return true;
};
// The frame alone knows no current page: this page's stays.
const keepCurrent = (part, fresh) => {
  const current = part.querySelector("[aria-current]");
  const same = current && [...fresh.querySelectorAll("a")].find((link) => link.href === current.href);
  if (!same || same.hasAttribute("aria-current")) return;
  same.setAttribute("aria-current", "page");
};
const SECONDS = 5;
const keepFresh = async () => {
  let failed = 0;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
    if (document.hidden) continue;
    try {
      if (!await refresh()) return;
      failed = 0;
    } catch {
      failed += 1;
      const since = Math.round((performance.now() - clockSet) / 1000);
      if (failed > 1) say(`The connection is lost; trying again. What you see is ${age(since)} old.`);
    }
  }
};
if (lost && body.dataset.frame) keepFresh();
