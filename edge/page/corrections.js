// The Correct tab: what is kept is listed, played, and corrected or deleted by a choice. The server makes the rows.
(() => {
  const at = (id) => document.getElementById(id);

  function say(message) {
    at("ser-correct-error").textContent = message;
    at("ser-correct-error").hidden = !message;
  }

  async function ask(url, options) {
    const answer = await fetch(url, options).catch(() => null);
    if (!answer) return say("the page's server does not answer; is it still running?");
    const told = await answer.json().catch(() => ({ error: "the page's server failed; see its log" }));
    say(told.error ?? "");
    if (told.error) return null;
    at("ser-kept").innerHTML = told.rows;
    at("ser-correct-note").textContent = told.note;
    return told;
  }

  async function tell(row, values) {
    for (const control of row.querySelectorAll("select, button")) control.disabled = true;
    const told = await ask(`/kept/${row.dataset.name}`, { method: "POST", body: JSON.stringify(values) });
    if (told) return;
    for (const control of row.querySelectorAll("select, button")) control.disabled = false;
    if (!row.dataset.speaker) row.querySelector("select").value = "";
  }

  document.addEventListener("click", ({ target }) => {
    if (target.id === "ser-list" || (at("ser-correct") && target.closest?.("button[role=tab]")?.textContent.trim() === "Correct")) ask("/kept");
    if (target.className === "ser-delete") tell(target.closest("tr"), { delete: true });
  });
  document.addEventListener("change", ({ target }) => {
    const row = target.closest?.("#ser-kept tr");
    if (row && target.value) tell(row, { emotion: target.value, speaker: row.dataset.speaker || at("ser-speaker").value });
  });
})();
