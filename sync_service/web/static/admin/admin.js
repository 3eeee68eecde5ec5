"use strict";
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && "once" in button.dataset) button.disabled = true;
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("[data-once]")) button.disabled = false;
});

// A requested sync: follow its progress until it is over, then show the page with the result.
const follow = async (panel) => {
  const steps = [...panel.querySelectorAll(".steps li")];
  const text = panel.matches(".progress-text") ? panel : panel.querySelector(".progress-text");
  const bar = panel.querySelector("progress");
  let pause = 300;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 1.2, 2000);
    let state;
    try {
      const answer = await fetch(panel.dataset.progress, { headers: { Accept: "application/json" } });
      if (answer.status === 401 || answer.status === 404) return window.location.reload();
      if (!answer.ok) continue;
      state = await answer.json();
    } catch { continue; }
    if (state.done) return window.location.reload();
    steps.forEach((step, index) => {
      step.className = index < state.step ? "past" : index === state.step ? "now" : "";
      if (index === state.step) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    if (text.textContent !== state.text) text.textContent = state.text;
    if (bar && "value" in state) { bar.max = state.max; bar.value = state.value; }
  }
};
for (const panel of document.querySelectorAll("[data-progress]")) follow(panel);

// Filling in a field chooses the option before it.
for (const row of document.querySelectorAll(".backfill p")) {
  row.addEventListener("input", () => { row.querySelector("input[type=radio]").checked = true; });
}
