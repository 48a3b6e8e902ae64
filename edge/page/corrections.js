// The Correct tab: what is kept is listed, played, and corrected or deleted by a choice. The server makes the rows.
(() => {
  const at = (id) => document.getElementById(id);

  function say(message) {
    at("ser-correct-error").textContent = message;
    at("ser-correct-error").hidden = !message;
  }

  async function ask(url, options) {
    try {
      const told = await ser.ask(url, options);
      at("ser-recordings").innerHTML = told.rows;
      at("ser-correct-note").textContent = told.note;
      say("");
      return true;
    } catch (error) {
      say(error.message);
      return false;
    }
  }

  async function tell(row, values) {
    for (const control of row.querySelectorAll("select, button")) control.disabled = true;
    if (await ask(`/recordings/${row.dataset.name}`, { method: "POST", body: JSON.stringify(values) })) return;
    for (const control of row.querySelectorAll("select, button")) control.disabled = false;
    if (!row.dataset.speaker) row.querySelector("select").value = "";
  }

  document.addEventListener("click", ({ target }) => {
    if (target.id === "ser-list") ask("/recordings");
    if (target.className === "ser-delete") tell(target.closest("tr"), { delete: true });
  });
  document.addEventListener("change", ({ target }) => {
    const row = target.closest?.("#ser-recordings tr");
    if (row && target.value) tell(row, { emotion: target.value, speaker: row.dataset.speaker || at("ser-speaker").value });
  });

  // The list is asked for whenever its tab comes into view, whichever of Gradio's buttons opened it.
  const seen = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) ask("/recordings"); });
  new MutationObserver((_, watch) => {
    if (!at("ser-correct")) return;
    watch.disconnect();
    seen.observe(at("ser-correct"));
  }).observe(document, { childList: true, subtree: true });
})();
